"""Processes that are forked from this one and killed at random moments."""

import argparse
import functools
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LONGEST = 120.0  # seconds of an attempt that is left to finish
_DELAY = 0.003  # seconds at most between the beginning of a phase and the kill within it


@dataclass
class Report:
    """What rounds of killing found: a violation is a promise that was not kept."""

    kills: int = 0
    rounds: int = 0
    seconds: float = 0.0
    during: Counter[str] = field(default_factory=Counter)  # what a kill cut off
    violations: list[str] = field(default_factory=list)

    def has(self, kind: str) -> bool:
        """Say whether a violation of a kind was found."""
        return bool(kind) and any(f": {kind}" in text for text in self.violations)

    def facts(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return vars(self)


class Watch:
    """Memory shared with the processes that are forked, in which they mark what they are doing."""

    def __init__(self, phases: Sequence[str]) -> None:
        self.phases = phases
        self._memory = mmap.mmap(-1, len(phases))

    def mark(self, owner: Any, name: str, phase: str) -> None:
        """Let a function of a module or class mark the phase while it runs."""
        function, place = getattr(owner, name), self.phases.index(phase)

        @functools.wraps(function)
        def marking(*arguments: Any, **named: Any) -> Any:
            self._memory[place] = 1
            try:
                return function(*arguments, **named)
            finally:
                self._memory[place] = 0

        setattr(owner, name, marking)

    def clear(self) -> None:
        """Forget every mark."""
        self._memory[:] = bytes(len(self.phases))

    def now(self) -> list[str]:
        """Name what is being done."""
        return [phase for phase, mark in zip(self.phases, self._memory[:], strict=True) if mark]


class Killer:
    """Forks attempts, and kills them: at any moment, or in a phase."""

    def __init__(self, watch: Watch, seed: int) -> None:
        self.report = Report()
        self._watch, self._chance = watch, random.Random(seed)

    def attempt(
        self, action: Callable[[], int | None], log: Path, within: float | None = None
    ) -> int | None:
        """Return an action's exit status, or None where it was killed `within` so many seconds."""
        self._watch.clear()
        child = os.fork()
        if not child:
            self._carry_out(action, log)
        if within is None:
            return self._finished(child)
        phase = self._chance.choice(["", "", *self._watch.phases])
        within = within / 2 if phase else within  # it has to come again
        after, delay = self._chance.uniform(0, within), self._chance.uniform(0, _DELAY)
        status = self._wait_for(phase, child, time.monotonic() + after, delay)
        if status is not None:
            return status
        during = self._watch.now()
        os.kill(child, signal.SIGKILL)
        status = _status(child)
        if status != -signal.SIGKILL:  # it was faster
            return status
        self.report.kills += 1
        self.report.during.update(during or ["elsewhere"])
        return None

    def _carry_out(self, action: Callable[[], int | None], log: Path) -> None:
        status = 1
        try:
            with log.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                status = action() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _finished(self, child: int) -> int:
        end = time.monotonic() + _LONGEST
        while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.002)
        return _status(child)

    def _wait_for(self, phase: str, child: int, start: float, delay: float) -> int | None:
        """Wait until it is time to kill; return the exit status of a child that ends before."""
        kill_at = start
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() < start:
                time.sleep(min(0.002, max(0.0, start - time.monotonic())))
                kill_at = time.monotonic() + delay if phase else start
            elif not phase or phase in self._watch.now():
                while time.monotonic() < kill_at:
                    pass
                return None
            else:
                kill_at = time.monotonic() + delay


def _status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def parser() -> argparse.ArgumentParser:
    """Return what the programs that kill are told: how often, or until which violation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--mutant", default="none")
    parser.add_argument("--until", default="", help="a kind of violation")
    return parser
