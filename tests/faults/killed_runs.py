"""Runs that are killed at random and go on; started as a program, which imports everything once.

A mutant is a change to the product that has to be found by the same rounds.
"""

import argparse
import functools
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

import scenes
import torch
from composed import ROOT, compose, execute
from killing import Killer, Report, Watch, parser
from safetensors.torch import save as serialise

from experiments import tensorfile
from experiments.errors import ConfigError, DataError
from experiments.plugin.discovery import discover
from experiments.runs import journal, provenance
from experiments.runs.checkpoints import Keeper
from experiments.runs.folder import Folder
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.settings import Experiment
from experiments.training import checkpoint, resume
from experiments.training import train as training
from experiments.training.history import History

OFTEN = [
    *("optimizer=adam", "checkpoint.every=2", "checkpoint.unit=step"),
    *("evaluate.unit=step", "evaluate.every=2", "max_steps=18", "log_every=3"),
]
# Dropout draws from torch's own generator; a large model is long in writing. The rates let an early
# evaluation be the best, which a run that goes on has to know.
SETTINGS = {
    "dropout": [
        *OFTEN,
        "model=cnn",
        "model.channels=[4,8]",
        "model.dropout=0.5",
        "optimizer.lr=0.03",
    ],
    "large": [*OFTEN, "model=mlp", "model.hidden=[256,128]", "optimizer.lr=0.3"],
}
_MOST_KILLS = 3  # of one run, which is then left to finish


def train(experiment: Experiment, folder: Path) -> None:
    """Begin the run in a folder, or go on with it."""
    if not is_started(folder):  # resume=auto begins another one
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        identity = Identity(folder.name, None, "scene", [])
        execute(experiment, Journal(folder), identity)
    elif Folder(folder).end != "FINISHED":
        tracker = Journal(folder, resume=True)
        earlier = resume.earlier(folder, experiment, tracker)
        identity = Identity(folder.name, None, "scene", [])
        execute(experiment, tracker, identity, earlier=earlier)


def is_started(folder: Path) -> bool:
    """Say whether a run's journal has its start."""
    try:
        journal.start_of(folder)
    except ConfigError:
        return False
    return True


def left_behind(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files of a run that was killed."""
    for path in sorted((folder / "checkpoints").glob("*.safetensors")):
        try:
            tensorfile.load(path)
        except DataError as error:
            yield f"checkpoint: {error}"
    if is_started(folder):
        yield from _twice(folder)


def _twice(folder: Path) -> Iterator[str]:
    try:
        scenes.numbers(folder)
    except AssertionError:
        yield "twice: a number stands twice in the journal"


def of_finished(folder: Path, expected: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a finished run, where `expected` is one that was never killed."""
    path = folder / journal.FILE
    if max(after for _, after in journal.read(path)) != path.stat().st_size:
        yield "journal: it cannot be read to its end"
    if wrong := list(left_behind(folder)):
        yield from wrong
        return
    found = everything(folder)
    for part, value in expected.items():
        if not scenes.same(value, found[part]):
            yield f"{part}: {_first_difference(value, found[part])}"


def everything(folder: Path) -> dict[str, Any]:
    """Return all that a finished run leaves but what clocks and meters say."""
    events = [event for event, _ in journal.read(folder / journal.FILE)]
    result = json.loads((folder / "result.json").read_text())
    tags = {name for event in events if event["event"] == "tags" for name in event["values"]}
    return scenes.outcome(folder) | {
        "result": result | {"seconds": 0},
        "starts": [event["event"] for event in events].count("start"),
        "end": events[-1].get("status"),
        "ends": [event["event"] for event in events].count("end"),
        "data": [event["digest"] for event in events if event["event"] == "dataset"],
        "tags": sorted(tags - {"resumed", "mlflow.note.content"}),
        "artifacts": sorted({event["path"] for event in events if event["event"] == "artifact"}),
        "files": sorted(path.name for path in (folder / "checkpoints").iterdir()),
    }


def _first_difference(first: Any, second: Any) -> str:
    if isinstance(first, dict):
        for key in first.keys() | second.keys():
            if not scenes.same(first.get(key), second.get(key)):
                return f"{key}: {str(first.get(key))[:80]}, not {str(second.get(key))[:80]}"
    return f"{str(first)[:200]}, not {str(second)[:200]}"


class Rounds:
    """Rounds of one setting, each a run that is killed several times."""

    def __init__(self, name: str, root: Path, killer: Killer) -> None:
        self._experiment = compose([*scenes.QUICK, *SETTINGS[name], f"output={root}"])
        self._root, self._killer = root / name, killer
        self._root.mkdir(parents=True)
        self._expected = self._never_killed("first")
        start = time.monotonic()
        again = self._never_killed("second")
        self._seconds = time.monotonic() - start
        assert scenes.same(self._expected, again)

    def one(self, number: int) -> None:
        """Kill a run until it finishes, and compare."""
        folder, report = self._root / str(number), self._killer.report
        report.rounds += 1
        found: list[str] = []
        for kills in range(_MOST_KILLS + 1):
            within = 0.8 * self._seconds if kills < _MOST_KILLS else None
            action = partial(train, self._experiment, folder)
            status = self._killer.attempt(action, self._log, within)
            if status is not None:
                break
            found += left_behind(folder)
        if status:
            said = self._log.read_text().splitlines() or ["nothing"]
            found.append(f"failed: {said[-1]}")
        else:
            found += of_finished(folder, self._expected)
        report.violations += [f"{folder}: {text}" for text in found]
        if not found:
            shutil.rmtree(folder)

    def _never_killed(self, name: str) -> dict[str, Any]:
        if self._killer.attempt(partial(train, self._experiment, self._root / name), self._log):
            raise RuntimeError(self._log.read_text())
        return everything(self._root / name)

    @property
    def _log(self) -> Path:
        return self._root / "log"


def written_in_place() -> None:
    """Write every checkpoint to its final name at once."""

    def save(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        dense = {name: tensor.contiguous() for name, tensor in tensors.items()}
        text = json.dumps(facts)
        digest = tensorfile._digest(dense, text)
        path.write_bytes(serialise(dense, {"facts": text, "sha256": digest}))

    def write(self: Keeper, name: str, tensors: Any, facts: Any) -> None:
        self._sync()
        tensorfile.save(self._folder / name, tensors, facts)

    tensorfile.save = save  # type: ignore[assignment]
    Keeper._write = write  # type: ignore[method-assign]


def generator_not_restored() -> None:
    """Go on with the random numbers of a new run."""
    checkpoint.torch.set_rng_state = lambda _: None  # type: ignore[assignment]


def numbers_appended_again() -> None:
    """Append to the journal what is done again."""
    Journal.expect = lambda *_: None  # type: ignore[method-assign]


def history_not_replayed() -> None:
    """Forget which evaluation was the best."""
    History.replay = lambda *_: None  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    **{
        mutant.__name__: mutant
        for mutant in (
            written_in_place,
            generator_not_restored,
            numbers_appended_again,
            history_not_replayed,
        )
    },
}


def main() -> None:
    """Kill as often as asked, or until a violation of the kind that is looked for."""
    asked = parser().parse_args()
    discover(ROOT)
    torch.set_num_threads(1)
    # The checkout is the same for all of them, though somebody may be editing it meanwhile.
    provenance._run_git = functools.cache(provenance._run_git)
    provenance.tags(ROOT, []), provenance.patch(ROOT)
    provenance._digest = lambda _: "same"  # type: ignore[assignment]
    MUTANTS[asked.mutant]()
    watch = Watch(("saving", "appending", "evaluating"))
    watch.mark(tensorfile, "save", "saving")
    watch.mark(Journal, "add", "appending")
    watch.mark(training, "evaluate", "evaluating")
    killer = Killer(watch, asked.seed)
    print(json.dumps(rounds(killer, asked).facts()))


def rounds(killer: Killer, asked: argparse.Namespace) -> Report:
    """Choose between the settings, round by round, until that is enough."""
    start, report = time.monotonic(), killer.report
    settings = [Rounds(name, asked.folder, killer) for name in SETTINGS]
    chance = random.Random(0)
    while report.kills < asked.kills and not report.has(asked.until):
        chance.choice(settings).one(report.rounds)
    report.seconds = time.monotonic() - start
    return report


if __name__ == "__main__":
    main()
