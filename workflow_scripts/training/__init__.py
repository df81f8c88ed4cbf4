"""The training loop that all systems share."""
