"""What a command line and a script call alike: a run, a run that goes on, a sweep."""
