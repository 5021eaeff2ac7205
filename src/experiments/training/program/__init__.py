"""Several steps as one compiled program."""
