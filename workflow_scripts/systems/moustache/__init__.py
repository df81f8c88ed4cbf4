"""Taking moustaches off."""
