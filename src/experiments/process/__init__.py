"""This process: its signals, its threads, its secrets."""
