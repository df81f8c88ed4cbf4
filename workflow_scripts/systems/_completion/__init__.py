"""What the systems share that complete faces with holes, in many plausible ways."""
