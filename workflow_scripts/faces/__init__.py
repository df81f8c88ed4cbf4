"""Detection, landmarks and alignment of faces."""
