"""Scores of pictures, maps and faces."""
