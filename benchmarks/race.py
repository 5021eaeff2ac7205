"""Let contenders take turns at one work, so that what disturbs the machine disturbs them alike."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.work import Work

CHECKOUT = Path(__file__).resolve().parent.parent
LIMITS = {  # steps a round of those whose steps take long
    ("cnn", "jax_scan"): 5,  # XLA's convolution in a loop takes about 1 s on one core
    ("cnn", "keras_jax"): 10,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """What is run: every contender's rounds at one work."""

    work: Work
    threads: int
    contenders: Sequence[str]
    repeats: int
    root: Path


@dataclass(slots=True)
class Timing:
    """Seconds of a contender's first call, and seconds a step of each round after it."""

    first: float
    steps: list[float] = field(default_factory=list)


class MissingError(Exception):
    """A contender's library is not installed."""


class Runner:
    """A contender's process, which waits between its turns."""

    def __init__(self, race: Race, contender: str) -> None:
        self._contender = contender
        self._turn = min(race.work.round, LIMITS.get((race.work.name, contender), sys.maxsize))
        options = [contender, race.work.name, str(race.threads), str(race.root.resolve())]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *options],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the runner."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        """End the process."""
        if kind:
            self._process.kill()
        self._process.communicate()

    def start(self) -> Timing:
        """Prepare and take the first turn; raise MissingError where a library is."""
        answer = self._read()
        if "missing" in answer:
            raise MissingError(answer["missing"])
        ready: float = answer["ready"]
        return Timing(ready + self.take() * self._turn)

    def take(self) -> float:
        """Take a turn, and return the seconds a step."""
        assert self._process.stdin is not None
        print(self._turn, file=self._process.stdin, flush=True)
        seconds: float = self._read()["seconds"]
        return seconds / self._turn

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"{self._contender} has ended; its error stands above.")
        answer: dict[str, Any] = json.loads(line)
        return answer


def run(race: Race) -> tuple[Mapping[str, Timing], Mapping[str, str]]:
    """Return the contenders' timings, and for each that could not start the missing module."""
    timings: dict[str, Timing] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        runners: dict[str, Runner] = {}
        for contender in race.contenders:
            runner = stack.enter_context(Runner(race, contender))
            try:
                timings[contender] = runner.start()
                runners[contender] = runner
            except MissingError as error:
                missing[contender] = str(error)
        order = list(runners)
        for _ in range(race.repeats):
            for contender in order:
                timings[contender].steps.append(runners[contender].take())
            order = order[1:] + order[:1]
    return timings, missing
