"""The numbers of a run while it lasts: its curves, and which evaluation was the best."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from experiments.runs.events import Event
from experiments.runs.journal import points
from experiments.settings import EarlyStopping
from experiments.training import trajectory


@dataclass(kw_only=True, slots=True)
class History:
    """Curves by metric name, and the best evaluation by the metric `monitor`."""

    monitor: str
    higher_is_better: bool
    early_stopping: EarlyStopping
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    best_step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    _reference: float = math.nan
    _waited: int = 0

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append values to their curves."""
        for name, value in values.items():
            self.curves.setdefault(name, []).append((step, value))

    def judge(self, step: int, values: Mapping[str, float]) -> bool:
        """Take the values of an evaluation, and say whether it is the best so far."""
        self.add(step, values)
        self.last = dict(values)
        value = values[self.monitor]
        if self._beats(value, self._reference, self.early_stopping.min_delta):
            self._reference, self._waited = value, 0
        else:
            self._waited += 1
        if not self._beats(value, self.best.get(self.monitor, math.nan), 0.0):
            return False
        self.best_step, self.best = step, dict(values)
        return True

    def replay(self, events: Iterable[Event]) -> None:
        """Take the numbers that a journal has of this run."""
        for event in events:
            values = event.get("values", {})
            if event["event"] == "series":
                for name, step, value in points(event):
                    if name not in trajectory.NAMES:  # which are no curves
                        self.add(step, {name: value})
            elif event["event"] == "metrics" and self.monitor in values:
                self.judge(event["step"], values)

    def stop(self) -> str | None:
        """Say why training should end early, or None."""
        rules = self.early_stopping
        value = self.last[self.monitor]
        if rules.target is not None and (
            value >= rules.target if self.higher_is_better else value <= rules.target
        ):
            return f"{self.monitor} reached {rules.target:g}"
        if rules.patience is not None and self._waited >= rules.patience:
            return f"{self.monitor} was not better for {self._waited} evaluations"
        return None

    def _beats(self, value: float, other: float, margin: float) -> bool:
        if math.isnan(value):
            return False
        difference = value - other if self.higher_is_better else other - value
        return math.isnan(other) or difference > margin
