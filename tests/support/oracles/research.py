"""The rules of curvature, and those that find their own rate."""

from oracles.case import Case

CASES: list[Case] = []
