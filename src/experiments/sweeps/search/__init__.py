"""A sweep that looks for the best settings."""
