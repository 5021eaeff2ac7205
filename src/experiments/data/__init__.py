"""Batches of a data set, in an order that the seed decides."""
