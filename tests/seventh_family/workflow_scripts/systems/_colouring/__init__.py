"""What systems share that colour grey pictures."""
