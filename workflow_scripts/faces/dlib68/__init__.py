"""dlib's model of 68 landmarks in our own code, which reads its file and applies its trees to many faces at once."""
