"""What a person runs beside the workflow."""
