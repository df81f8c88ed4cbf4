"""Every key of the configuration, checked once. The schema and the reference page are made from these models."""
