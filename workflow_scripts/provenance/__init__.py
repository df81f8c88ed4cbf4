"""What made a file, and whether it is still the same: digests of code, records, the manifest, a store of results."""
