"""Every key of the configuration, checked once; schema and reference page are written from these models."""
