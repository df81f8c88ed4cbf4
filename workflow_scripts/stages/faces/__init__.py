"""From items to faces."""
