"""What is shared by the systems that generate pictures, with masks of what they show or without."""
