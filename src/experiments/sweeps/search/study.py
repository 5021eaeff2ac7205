"""A search's trials: which to try next, which to give up, and which was best."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from experiments.sweeps.search import backend, samplers
from experiments.sweeps.search.archive import Archive
from experiments.sweeps.search.settings import Direction, Sampler, Search
from experiments.sweeps.search.space import Point, Space, lines, nearest_point

# Attributes of a trial in the file.
_POSITION = "position"  # the place in the sampler's sequence, which its point follows from
_STATUS = "status"
_STATES = {"finished": TrialState.COMPLETE, "failed": TrialState.FAIL}  # others are pruned


@dataclass(frozen=True, slots=True)
class Trial:
    """A point to try: its number in the study, and its settings as on the command line."""

    number: int
    lines: list[str]


class Study:
    """Ask for trials and tell how they went, from the first to the last of a search.

    It lives in memory, as thousands of reports in a file would take seconds; a trial that has
    ended is kept in the file at `path`, if there is one, and a study of the same name there goes
    on. `about` is what the values depend on beside the space: a study about something else is
    refused. Raises ConfigError for that, and for a space that the sampler cannot take. Of its
    trials `earlier` were there when it began, and `left` are still to be asked for.
    """

    def __init__(
        self,
        settings: Search,
        space: Space,
        *,
        name: str = "study",
        path: Path | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        samplers.check_space(settings.sampler, space)
        self._settings = settings
        self._space = dict(sorted(space.items()))
        self._distributions = {key: backend.distribution(axis) for key, axis in self._space.items()}
        self._archive: Archive | None = None
        wanted = settings.direction
        self._maximize = None if wanted is None else wanted is Direction.maximize
        if path is not None:
            description = {**samplers.description(settings, space), **(about or {})}
            self._archive = Archive(path, name, description, maximize=self._maximize)
            if self._maximize is None:
                self._maximize = self._archive.maximizes()
        self._asked: dict[int, optuna.Trial] = {}
        self._evaluations: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._unkept: list[FrozenTrial] = []
        self._go_on([] if self._archive is None else self._archive.trials())

    def _go_on(self, earlier: Sequence[FrozenTrial]) -> None:
        """Begin where earlier trials ended."""
        self._live = self._new(earlier)
        self._lost = {t.number for t in earlier if t.user_attrs[_STATUS] in ("diverged", "failed")}
        used = {trial.user_attrs[_POSITION] for trial in earlier}
        self._positions = (place for place in itertools.count() if place not in used)
        # One that failed, for a full disk perhaps, is made up for when the study goes on.
        done = [trial.params for trial in earlier if trial.state is not TrialState.FAIL]
        self.earlier = len(done)
        self.left = max(0, self._settings.n_trials - len(done))
        self._grid: Iterator[Point] = iter(())
        if self._settings.sampler is Sampler.grid:
            tried = {frozenset(params.items()) for params in done}
            combinations = samplers.shuffled(self._space, self._settings.seed)
            rest = [point for point in combinations if frozenset(point.items()) not in tried]
            self.left = min(self.left, len(rest))
            self._grid = iter(rest)

    def decide(self, *, higher_is_better: bool) -> None:
        """Say which values are better, unless the settings or an earlier trial have."""
        if self._maximize is None:
            self._maximize = higher_is_better
            self._live = self._new(self._live.get_trials())
            self._keep()

    def ask(self, size: int) -> list[Trial]:
        """Return the next trials, as many as are left at most."""
        size = min(size, self.left)
        self.left -= size
        places = list(itertools.islice(self._positions, size))
        asked = []
        for place, point in zip(places, self._points(places), strict=True):
            if point is None:
                # Seeded for each trial, so that a study that went on has the same ones.
                seed = samplers.derived(self._settings.seed, place)
                self._live.sampler = backend.tpe(self._settings, seed)
            else:
                self._live.enqueue_trial(point)
            trial = self._live.ask(self._distributions)
            trial.set_user_attr(_POSITION, place)
            self._asked[trial.number] = trial
            asked.append(Trial(trial.number, self._lines(trial.params)))
        return asked

    def report(self, number: int, step: int, value: float) -> bool:
        """Tell of a trial's value after a step, and return whether it is given up.

        Trials are compared by how many evaluations they have had, as their steps may differ in
        size. Nothing is given up before it is known which values are better.
        """
        trial, counts = self._asked[number], self._evaluations[number]
        if step not in counts:  # else a run that began again after running out of memory
            counts[step] = len(counts) + 1
            trial.report(value, counts[step])
        return self._maximize is not None and trial.should_prune()

    def tell(self, trial: Trial, value: float, status: str) -> None:
        """Say how a trial ended: with a value if it is `finished`, else pruned, diverged or failed.

        One that failed teaches nothing, as the cause may have been a full disk. One that diverged
        is told as pruned: tpe leaves failed trials out and would try the same again, and takes
        pruned ones for worse than all others. cmaes needs every member of a generation, and gets
        infinity, the last rank, for both kinds. The other samplers learn nothing.
        """
        if status == "finished" and not math.isfinite(value):
            status = "diverged"
        state = _STATES.get(status, TrialState.PRUNED)
        if status in ("diverged", "failed"):
            self._lost.add(trial.number)
        ended = self._live.tell(trial.number, value if status == "finished" else None, state)
        self._asked.pop(trial.number)
        ended.set_user_attr(_STATUS, status)
        self._unkept.append(ended)
        self._keep()

    def best(self) -> tuple[Trial, float] | None:
        """Return the best trial of those that finished, and its value; None if there is none."""
        if not self._live.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return None
        trial = self._live.best_trial
        assert trial.value is not None
        return Trial(trial.number, self._lines(trial.params)), trial.value

    def close(self) -> None:
        """Let go of the file."""
        if self._archive is not None:
            self._archive.close()

    def _lines(self, params: Mapping[str, Any]) -> list[str]:
        return lines(self._space, nearest_point(self._space, params))

    def _keep(self) -> None:
        """Write what has ended, once it is known which values are better."""
        while self._archive is not None and self._maximize is not None and self._unkept:
            self._archive.keep(self._unkept[0], maximize=self._maximize)
            del self._unkept[0]

    def _new(self, trials: Sequence[FrozenTrial]) -> optuna.Study:
        study = optuna.create_study(
            direction="minimize" if self._maximize is False else "maximize",
            sampler=RandomSampler(),
            pruner=backend.pruner(self._settings),
        )
        study.add_trials(trials)
        return study

    def _points(self, places: Sequence[int]) -> Sequence[Point | None]:
        """Return the points at places of the sampler's sequence; None where tpe is to say."""
        settings, space = self._settings, self._space
        if settings.sampler is Sampler.tpe:
            return [None] * len(places)
        if settings.sampler is Sampler.grid:
            return list(itertools.islice(self._grid, len(places)))
        if settings.sampler is Sampler.cmaes:
            return samplers.evolved(
                space, self._past(), len(places), seed=settings.seed, at_once=settings.at_once
            )
        draw = samplers.drawn if settings.sampler is Sampler.random else samplers.spread
        return [draw(space, settings.seed, place) for place in places]

    def _past(self) -> list[tuple[Point, float]]:
        """Return the points of trials that ended and their losses, in the order of asking."""
        ended = [t for t in self._live.get_trials(deepcopy=False) if t.state.is_finished()]
        ended.sort(key=lambda trial: int(trial.user_attrs[_POSITION]))
        return [(trial.params, self._loss(trial)) for trial in ended]

    def _loss(self, trial: FrozenTrial) -> float:
        if trial.value is None or trial.number in self._lost:
            return math.inf
        return -trial.value if self._maximize else trial.value
