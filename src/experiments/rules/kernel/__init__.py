"""An elementwise rule as one pass over memory: its operations, as C, compiled and called."""
