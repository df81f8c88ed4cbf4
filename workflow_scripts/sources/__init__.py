"""Adapters of inputs, one file per kind of source."""
