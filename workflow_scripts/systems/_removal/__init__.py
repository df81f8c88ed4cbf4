"""What systems share that find an occluder on a face and paint what is below it."""
