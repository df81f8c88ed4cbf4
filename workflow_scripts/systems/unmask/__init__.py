"""Taking face masks off."""
