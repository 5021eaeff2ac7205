"""The path of a model of two parameters: where they are at the start and after each step."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from experiments.rules.params import Params
from experiments.runs.folder import Folder
from experiments.runs.tracker import Tracker

NAMES = ("path/x", "path/y")  # of the journal's series


def is_plane(params: Params) -> bool:
    """Say whether there are two parameters, whose path can be drawn."""
    return params.vector.shape[-1] == len(NAMES)


class Trajectory:
    """The points of consecutive steps that no journal has yet, on the device."""

    def __init__(self) -> None:
        self._first, self._points = 0, list[Tensor]()

    def add(self, t: int, params: Params) -> None:
        """Take the parameters after step `t`, if they are two."""
        if is_plane(params):
            self._first = self._first if self._points else t
            self._points.append(params.vector.clone())

    def flush(self) -> Callable[[int, Tracker], None]:
        """Forget the points, and return what records those of the run at a place."""
        first, points = self._first, self._points
        self._points = []
        shape = (len(points), -1, len(NAMES))
        lanes = torch.stack(points).reshape(shape).permute(1, 2, 0).tolist() if points else []

        def record(place: int, tracker: Tracker) -> None:
            for name, values in zip(NAMES, lanes[place], strict=True) if lanes else ():
                tracker.series(first, {name: values})

        return record


def path_of(folder: Path) -> Tensor:
    """Return the path that a run's journal has: rows [N, 3] of a step and two parameters."""
    x, y = (dict(Folder(folder).series(name)) for name in NAMES)
    rows = [(step, x[step], y[step]) for step in sorted(x.keys() & y.keys())]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 1 + len(NAMES))
