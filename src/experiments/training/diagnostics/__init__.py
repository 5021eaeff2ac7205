"""What a step is, measured at an interval, of the whole model and of each layer."""
