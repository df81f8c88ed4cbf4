"""What systems share that drive a face with another."""
