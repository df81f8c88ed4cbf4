"""From what lies on disk to tables of items."""
