"""Generating pictures of objects, with a mask as their fourth channel or without."""
