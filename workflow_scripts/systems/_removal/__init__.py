"""What is shared by the systems that find an occluder on a face and paint what is below it."""
