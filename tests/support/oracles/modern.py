"""The rules that came after Adam."""

from oracles.case import Case

CASES: list[Case] = []
