"""How a run ended, as its folder says it in one small file."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import nan
from typing import Any

from experiments.runs.events import Check, is_number, is_text, is_whole, named

FILE = "result.json"
MOST = 2**24  # bytes of the file


class Status(StrEnum):
    """How a run has ended, or that it has not."""

    finished = "finished"
    pruned = "pruned"  # given up, as others of its sweep did better
    diverged = "diverged"  # a number that counts is not finite
    failed = "failed"
    unfinished = "unfinished"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A run's end; `metrics` are best, final and test, none where it did not come so far."""

    status: Status
    reason: str
    step: int = 0
    seconds: float = 0.0
    monitor: str = ""
    higher_is_better: bool = True
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The best value of the monitored metric, NaN where there is none."""
        return self.metrics.get(f"best/{self.monitor}", nan)

    def to_json(self) -> str:
        """Return what the file holds."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def of_json(cls, text: str) -> "Result":
        """Return the result that a file holds; raise ValueError, TypeError or KeyError for none."""
        facts: dict[str, Any] = json.loads(text)
        if wrong := [n for n, check in _FIELDS.items() if n in facts and not check(facts[n])]:
            raise ValueError(f"{wrong[0]} is none of a result")
        return cls(**{**facts, "status": Status(facts["status"])})


_FIELDS: dict[str, Check] = {
    "reason": is_text,
    "step": is_whole,
    "seconds": is_number,
    "monitor": is_text,
    "higher_is_better": lambda value: isinstance(value, bool),
    "metrics": named(is_number),
}
NONE = Result(status=Status.unfinished, reason="it left no result")
