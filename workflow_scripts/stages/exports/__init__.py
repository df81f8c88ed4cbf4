"""What other programs read: networks, data sets, annotations, and cards that describe them."""
