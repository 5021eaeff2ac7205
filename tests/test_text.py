"""Numbers as a line shows them."""

import math

import pytest

from experiments.text import rounded


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0000"),
        (0.97654, "0.9765"),
        (-353.44677, "-353.4468"),
        (0.001, "0.0010"),
        (0.00099, "9.900e-04"),
        (-3.02e-17, "-3.020e-17"),
        (9_999_999.0, "9999999.0000"),
        (8.4390381e35, "8.439e+35"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_a_number_keeps_its_first_digits(value: float, shown: str) -> None:
    assert rounded(value) == shown
