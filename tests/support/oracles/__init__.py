"""What the rules are compared with: papers transcribed to NumPy, and other libraries."""
