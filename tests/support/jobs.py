"""Outcomes of sweeps that were never run."""

import math
from collections.abc import Sequence

from experiments.report.sweep.outcomes import Outcome

# Values that are not finite, or overflow where two of them are added.
EXTREMES = (math.nan, math.inf, -math.inf, 0.0, -1.0, 5e-324, 1e-300, 1e250, 1.7e308, -1.7e308)
# Texts of settings, the hostile ones among them.
TEXTS = (
    *("", "true", "[64,64]", "1e-3", "0.001", "0", "-5", "nan", "inf", "1e400", "5e-324"),
    *("$x^{", "日本", "_hidden", "a\nb", "\x00\ud800", "x" * 500, "<script>alert(1)</script>"),
    *("\"' onload='", "1_000", "null", "-1e250", "1e250"),
)


def job(value: float, status: str = "finished", seed: int = 0, **settings: object) -> Outcome:
    """Return an outcome whose curve rises or falls to its value in four steps."""
    return Outcome(
        settings={key: str(setting) for key, setting in settings.items()},
        repeat={"seed": str(seed)},
        status=status,
        value=value,
        curve=[(step, value * step / 4) for step in range(1, 5)],
    )


def grid(rates: Sequence[float], seeds: int = 3) -> list[Outcome]:
    """Return jobs that are best at a rate of 0.1, those above 1 diverged."""
    return [
        job(
            0.9 - 0.1 * abs(math.log10(rate) + 1) + 0.01 * seed,
            "diverged" if rate > 1 else "finished",
            seed,
            lr=rate,
        )
        for rate in rates
        for seed in range(seeds)
    ]
