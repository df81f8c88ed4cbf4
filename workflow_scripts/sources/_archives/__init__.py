"""Zip and tar archives of pictures, which are read in place and never unpacked into a folder."""
