"""Training runs together, as lanes of one loop, of which each is recorded and ends for itself."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from experiments.data.seeds import derive
from experiments.errors import DivergedError, Interrupted
from experiments.plugin.spec import Tensors
from experiments.process import signals
from experiments.runs import checkpoints
from experiments.runs.results import Result
from experiments.training import engine, lanekeeping, lanes
from experiments.training.lanekeeping import Ended, Lane, Moment, lanes_of, row_of
from experiments.training.loop import Step
from experiments.training.meter import Meter
from experiments.training.progress import Progress
from experiments.training.record import planned_end
from experiments.training.session import Session


class Group:
    """Runs that are trained together, until each has a reason to stop."""

    def __init__(self, session: Session, runs: Sequence[Lane]) -> None:
        self._session, self._state = session, session.state
        self._runs: list[Lane | None] = list(runs)  # of each lane, None once it has ended
        self._losses: list[Tensor] = []  # of the steps since the last look, on the device
        self._best: Tensors = {}
        self._meter = Meter(session.device)
        self._started = time.monotonic()
        self._t = 0
        self.seconds = 0.0  # of the steps alone
        self._kept = 0, time.monotonic(), 0.0  # the step, the moment and the cost of keeping

    @property
    def running(self) -> list[Lane]:
        """The runs that have not ended."""
        return [run for run in self._runs if run is not None]

    def train(self) -> Iterator[Ended]:
        """Take steps, and yield each run as it ends, until all have."""
        torch.manual_seed(derive(self._session.experiment.seed, "train"))
        progress = Progress(self._session)
        with progress.after(self._t), signals.deferred():
            yield from self._go_on()
            while self.running:
                for step in self._steps():
                    progress.add(step)
                    yield from self._take(step)
                    if 2 * len(self.running) <= len(self._runs):
                        break  # with lanes that have ended; go on without them
                self._compact()

    def _steps(self) -> Iterator[Step]:
        session = dataclasses.replace(self._session, state=self._state)
        session.model.train()
        steps = engine.steps(session, self._t)
        while True:
            started = time.perf_counter()
            step = next(steps, None)
            self.seconds += time.perf_counter() - started
            if step is None:
                return
            yield step

    def _take(self, step: Step) -> Iterator[Ended]:
        """Keep the runs, where it is time to, and follow a step, which a signal may interrupt."""
        self._t, self._state = step.t, step.state
        self._losses.append(step.losses)
        losses, positions = list(self._losses), self._positions()
        try:
            signals.check()
            if self._is_due():
                self._keep(step, losses, positions, self._places())
            yield from self._follow(step, positions)
            signals.check()
        except Interrupted:
            self._keep(step, losses, positions, self._places())
            raise

    def _follow(self, step: Step, positions: dict[int, int]) -> Iterator[Ended]:
        """Record what a step leaves behind, and end the runs that have a reason to stop."""
        losses = list(self._losses)
        if self._session.is_stop(step.t):
            yield from self._look(step)
        if self._session.is_evaluated(step.t):
            yield from self._evaluate(step)
            reasons = {place: self._reason(place) for place in self._places()}
            ending = {place: reason for place, reason in reasons.items() if reason}
            if ending:
                self._keep(step, losses, positions, list(ending))
                yield from self._conclude(ending)

    def _look(self, step: Step) -> Iterator[Ended]:
        """Record the losses since the last look, which waits for the device to compute them."""
        count = len(self._runs)
        rows = torch.cat(self._losses).reshape(-1, count).T.tolist()
        self._losses = []
        _, scheduled = self._session.rule.clock(step.t)
        numbers = {name: row_of(value, count) for name, value in scheduled.items()}
        numbers["norm/update"] = row_of(step.change.norm(dim=-1), count)
        numbers["norm/params"] = row_of(self._session.params.vector.norm(dim=-1), count)

        def look(place: int, run: Lane) -> None:
            own = {name: values[place] for name, values in numbers.items()}
            run.record.look(step.t - len(rows[place]) + 1, rows[place], own)

        return self._each(look)

    def _evaluate(self, step: Step) -> Iterator[Ended]:
        """Record how good the parameters are, and remember the best so far."""
        values = lanes.evaluate(self._session, "val")
        if self._session.experiment.evaluate.train:
            for own, measured in zip(values, lanes.evaluate(self._session, "train"), strict=True):
                own |= {"train/mean_loss": measured.pop("train/loss"), **measured}
        clock = {"seconds": time.monotonic() - self._started, **self._meter.read()}
        better: list[int] = []

        def evaluate(place: int, run: Lane) -> None:
            if run.record.evaluate(step.t, values[place], clock):
                better.append(place)

        yield from self._each(evaluate)
        trained = self._trained()
        if not self._best:
            self._best = {name: tensor.clone() for name, tensor in trained.items()}
        elif better:
            rows = torch.tensor(better, device=self._session.device)
            for name, tensor in self._best.items():
                lanes_of(tensor, len(self._runs))[rows] = lanes_of(trained[name], len(self._runs))[
                    rows
                ]

    def _each(self, act: Callable[[int, Lane], None]) -> Iterator[Ended]:
        """Let every run take part, and end those that diverge."""
        for place in self._places():
            run = self._runs[place]
            assert run is not None
            try:
                act(place, run)
            except DivergedError as error:
                session = lanes.taken(self._session, [place], self._state)
                self._take_best(session, [place])
                yield from self._ended({place: error}, session)

    def _reason(self, place: int) -> str | None:
        run, session = self._runs[place], self._session
        assert run is not None
        return run.record.reason_to_stop(self._t) or planned_end(session, self._t)

    def _conclude(self, ending: dict[int, str]) -> Iterator[Ended]:
        """Go back to the best parameters of some runs, and evaluate them on the test split."""
        places, seconds = list(ending), time.monotonic() - self._started
        session = lanes.taken(self._session, places, self._state)
        self._take_best(session, places)
        results: dict[int, Result | DivergedError] = {}
        for place, test in zip(places, lanes.evaluate(session, "test"), strict=True):
            run = self._runs[place]
            assert run is not None
            results[place] = run.record.conclude(self._t, ending[place], seconds, test)
        yield from self._ended(results, session)

    @torch.no_grad()
    def _take_best(self, session: Session, places: Sequence[int]) -> None:
        """Give a session of some of the lanes their best parameters, where they have any."""
        trained = {"params": session.params.vector, **session.model.buffers}
        for name, tensor in trained.items():
            for row, place in enumerate(places):
                run = self._runs[place]
                if run is not None and run.history.best:
                    best = lanes_of(self._best[name], len(self._runs))[place]
                    lanes_of(tensor, len(places))[row] = best

    def _ended(
        self, results: Mapping[int, Result | DivergedError], session: Session
    ) -> Iterator[Ended]:
        """Keep the best parameters of runs that end, and take the runs out."""
        ended = []
        for row, (place, result) in enumerate(results.items()):
            run = self._runs[place]
            assert run is not None
            self._runs[place] = None
            ended.append(Ended(run, lanes.lane(session, row, session.state), result))
        lanekeeping.keep_best(ended)
        yield from ended

    def _compact(self) -> None:
        """Leave out the lanes that have ended."""
        places = self._places()
        if not places or len(places) == len(self._runs):
            return
        count = len(self._runs)
        self._losses = [losses.reshape(-1, count)[:, places] for losses in self._losses]
        self._best = {n: lanes_of(t, count)[places] for n, t in self._best.items()}
        self._session = lanes.taken(self._session, places, self._state)
        self._state = self._session.state
        self._runs = list(self.running)

    def _places(self) -> list[int]:
        return [place for place, run in enumerate(self._runs) if run is not None]

    def _positions(self) -> dict[int, int]:
        """Return where the journal of each run ends."""
        return {
            place: run.tracker.position() for place, run in enumerate(self._runs) if run is not None
        }

    def _trained(self) -> Tensors:
        return {"params": self._session.params.vector, **self._session.model.buffers}

    def _is_due(self) -> bool:
        """Say whether it is time to keep the runs, which may take a twentieth of all time."""
        kept, moment, cost = self._kept
        settings, epoch = self._session.experiment.checkpoint, self._session.steps_per_epoch
        return checkpoints.is_due(settings, epoch, self._t, kept, moment, least=20 * cost)

    def _keep(
        self,
        step: Step,
        losses: Sequence[Tensor],
        positions: dict[int, int],
        places: Sequence[int],
    ) -> None:
        """Keep some of the runs at a step, but those whose parameters are not finite."""
        start = time.monotonic()
        seconds = start - self._started
        moment = Moment(self._session, step, losses, self._best, seconds)
        moment.keep({place: self._runs[place] for place in places}, positions)
        self._kept = step.t, time.monotonic(), time.monotonic() - start

    def _go_on(self) -> Iterator[Ended]:
        """Go on from the step that every run was kept at, which they have in common."""
        contents = [run.content for run in self.running if run.content is not None]
        if not contents:
            return
        moment = lanekeeping.bring_back(self._session, contents)
        self._t, self._state = moment.step.t, moment.step.state
        self._losses, self._best = list(moment.losses), moment.best
        self._started -= moment.seconds
        self._kept = self._t, time.monotonic(), 0.0
        yield from self._follow(moment.step, self._positions())
