"""Archives read in place: zips and tars, never unpacked."""
