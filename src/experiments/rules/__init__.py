"""Gradients into steps: flat parameters, numbers, schedules, the rule."""
