"""What is shared by the systems that drive one face with another."""
