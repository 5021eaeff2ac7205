"""The checkpoints of runs that train together: of each the one that it would write alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.errors import DivergedError
from experiments.plugin.spec import Tensors
from experiments.runs import checkpoints
from experiments.runs.checkpoints import Content, Keeper
from experiments.runs.results import Result
from experiments.runs.tracker import Tracker
from experiments.training import checkpoint, lanes
from experiments.training.checkpoint import Point
from experiments.training.history import History
from experiments.training.loop import Step
from experiments.training.record import Record
from experiments.training.session import Session

_WRITERS = 16  # checkpoints written beside each other, whose waits for the disk overlap


@dataclass(kw_only=True, slots=True)
class Lane:
    """One of the runs; `content` is the checkpoint that it goes on from."""

    run_id: str
    tracker: Tracker
    record: Record
    keeper: Keeper | None = None
    content: Content | None = None

    @property
    def history(self) -> History:
        """The run's numbers."""
        return self.record.history


class Ended(NamedTuple):
    """A run that has come to its end: its session has the best parameters, as a plain run's."""

    lane: Lane
    session: Session
    result: Result | DivergedError


class Moment(NamedTuple):
    """Runs after a step of which nothing was made yet, as `snapshot.Point` is of one.

    `losses` are those since the last look, and `best` the best parameters and buffers so far, of
    all lanes; none at first.
    """

    session: Session
    step: Step
    losses: Sequence[Tensor]
    best: Tensors
    seconds: float

    def keep(self, runs: Mapping[int, Lane | None], positions: Mapping[int, int]) -> None:
        """Write the checkpoint of each run by its place, but of those that are not finite.

        `positions` are those of their journals.
        """
        vector, count = self.session.params.vector, max(1, len(self.session.lanes))
        finite = row_of(vector.isfinite().all(-1), count)
        columns = torch.cat(list(self.losses)).reshape(-1, count)
        writing: list[Keeper] = []
        for place, run in runs.items():
            if run is None or run.keeper is None or not finite[place]:
                continue
            session = lanes.lane(self.session, place, self.step.state)
            change = lanes_of(self.step.change, count)[place]
            own = Step(self.step.t, columns[:, place], change, session.state)
            best = {n: lanes_of(t, count)[place] for n, t in self.best.items()}
            best = best if run.history.best else {}
            point = Point(own, [own.losses], best, positions[place], self.seconds)
            content = checkpoint.of_run(session, point, run.history.last, run.run_id)
            run.keeper.keep(checkpoints.LAST, *content)
            _take_turns(writing, run.keeper)
        for keeper in writing:
            keeper.finish()


def keep_best(ended: Sequence[Ended]) -> None:
    """Write the best parameters of runs, which their sessions have."""
    writing: list[Keeper] = []
    for run, session, _ in ended:
        if run.keeper is not None and run.history.best:
            best = checkpoint.of_model(session, run.history.best_step, run.history.best)
            run.keeper.keep(checkpoints.BEST, *best)
            _take_turns(writing, run.keeper)
    for keeper in writing:
        keeper.finish()


def bring_back(session: Session, contents: Sequence[Content]) -> Moment:
    """Bring lanes that were prepared anew to the moment that their checkpoints were written at.

    Raises DataError where a checkpoint is of another run than its lane.
    """
    points: list[Point] = []
    singles = [lanes.lane(session, place, session.state) for place in range(len(contents))]
    for single, content in zip(singles, contents, strict=True):
        points.append(checkpoint.bring_back(single, *content))
    stack = _only if len(singles) == 1 else _stacked
    session.params.vector.copy_(stack([single.params.vector for single in singles]))
    for name, buffer in session.model.buffers.items():
        buffer.copy_(stack([single.model.buffers[name] for single in singles]))
    state = {
        owner: {name: stack([p.step.state[owner][name] for p in points]) for name in memory}
        for owner, memory in session.state.items()
    }
    first = points[0].step
    losses = torch.stack([point.losses[0] for point in points], 1)
    losses = losses[:, 0] if len(points) == 1 else losses
    step = Step(first.t, losses, stack([point.step.change for point in points]), state)
    trained = [{"params": s.params.vector, **s.model.buffers} for s in singles]
    best = {
        name: stack([p.best.get(name, own[name]) for p, own in zip(points, trained, strict=True)])
        for name in trained[0]
    }
    known = any(point.best for point in points)
    seconds = max(point.seconds for point in points)
    return Moment(session, step, [losses], best if known else {}, seconds)


def row_of(values: Tensor, count: int) -> list[float]:
    """Return one number a lane, also where it is the same for all."""
    row: list[float] = values.reshape(-1).expand(count).tolist()
    return row


def lanes_of(tensor: Tensor, count: int) -> Tensor:
    """View a tensor of lanes as it is, and that of a plain run as the only lane."""
    return tensor if count > 1 else tensor[None]


def _take_turns(writing: list[Keeper], keeper: Keeper) -> None:
    """Let a keeper write beside others, and wait for the first where there are many."""
    writing.append(keeper)
    if len(writing) == _WRITERS:
        writing.pop(0).finish()


def _only(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0].clone()


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors))
