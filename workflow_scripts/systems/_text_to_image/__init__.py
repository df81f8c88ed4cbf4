"""What the systems share that generate pictures from words."""
