"""Measurements of speed against other tools, each one command; see README.md."""
