"""Stages of completion, see `rules/completion.smk`."""
