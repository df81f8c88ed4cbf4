"""Architectures of networks, which know nothing of their training, and the loading of pretrained ones."""
