"""Runs being trained: session, loop, lanes, evaluation."""
