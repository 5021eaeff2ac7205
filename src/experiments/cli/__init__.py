"""The command line: what a user types, and what is done about it."""
