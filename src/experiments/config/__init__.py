"""From a command line and `conf/` to a typed Experiment."""
