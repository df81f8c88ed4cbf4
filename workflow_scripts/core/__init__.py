"""What every stage uses: command lines, atomic files, tables, tensor shards, randomness. It knows nothing of faces."""
