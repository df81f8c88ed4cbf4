"""Driving one face with another's landmarks."""
