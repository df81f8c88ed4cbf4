"""Dlib's model of 68 landmarks by our own code: its file, and its regression trees for many faces at once."""
