"""What made a file, and is it still that: code digests, records, the manifest, a store of results."""
