"""From items to trained networks and their scores, for every system."""
