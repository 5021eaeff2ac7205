"""What a run pays for losing nothing: `python -m benchmarks.keeping`.

One process trains twice in turn, with a journal and checkpoints and without, so that what disturbs
the machine disturbs both alike.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch

from benchmarks import ours
from benchmarks.whole_runner import training_of
from experiments import tensorfile
from experiments.runs import checkpoints
from experiments.runs.checkpoints import Keeper
from experiments.runs.journal import Journal
from experiments.runs.tracker import InMemory
from experiments.training import checkpoint, engine
from experiments.training.checkpoint import Point
from experiments.training.loop import Step

_TURN = 250  # steps
MODELS = {"linear": ["model=linear"], "mlp": ["model=mlp", "optimizer=adam"]}
WIDTHS = (128, 1024, 3072)  # of two hidden layers


def main() -> None:
    """Print what a step, a checkpoint and going on take."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keeping", description=__doc__)
    parser.add_argument("--turns", type=int, default=100, help="of 250 steps each")
    turns = parser.parse_args().turns
    ours.publish()
    torch.set_num_threads(1)
    print("| steps of | without, us | more with, us | share |\n| --- | ---: | ---: | ---: |")
    for name, settings in MODELS.items():
        plain, more = _step(settings, turns)
        print(f"| {name} | {plain:.1f} | {more:.1f} | {more / plain:.1%} |")
    print("\n| parameters | file, MB | training waits, ms | writing, ms | loading, ms |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for width in WIDTHS:
        print(f"| {' | '.join(_checkpoint(width))} |")


def _step(settings: list[str], turns: int) -> tuple[float, float]:
    """Return microseconds a step without a journal, and how many more it takes with one."""
    with tempfile.TemporaryDirectory() as folder:
        plain, kept = _taking(settings, None), _taking(settings, Path(folder))
        pairs = [(_timed(plain), _timed(kept)) for _ in range(turns)]
    return median(a for a, _ in pairs), median(b - a for a, b in pairs)


def _taking(settings: list[str], folder: Path | None) -> Callable[[], None]:
    session = ours.session(*settings, f"output={folder}")
    training = training_of(session, Journal(folder) if folder else InMemory())
    steps = engine.steps(session)

    def take() -> None:
        for _ in range(_TURN):
            training.take(next(steps))

    return take


def _timed(take: Callable[[], None]) -> float:
    started = time.perf_counter()
    take()
    return (time.perf_counter() - started) / _TURN * 1e6


def _checkpoint(width: int) -> Iterator[str]:
    hidden = f"model.hidden=[{width},{width}]"
    session = ours.session("model=mlp", hidden, "optimizer=adam", "output=.")
    step: Step = next(engine.steps(session))
    point = Point(step, [step.losses], {"params": session.params.vector.clone()}, 0.0)
    waits, writes, loads = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Path(folder), lambda: None, beside=True)
        path = Path(folder) / checkpoints.FOLDER / checkpoints.LAST
        for _ in range(5):
            started = time.perf_counter()
            keeper.keep(checkpoints.LAST, *checkpoint.of_run(session, point, "benchmark"))
            waits.append(time.perf_counter() - started)
            keeper.finish()
            writes.append(time.perf_counter() - started)
            started = time.perf_counter()
            checkpoint.bring_back(session, [tensorfile.load(path)])
            loads.append(time.perf_counter() - started)
        yield f"{session.params.vector.numel():,}"
        yield f"{path.stat().st_size / 1e6:.1f}"
    for seconds in (waits, writes, loads):
        yield f"{median(seconds) * 1e3:.1f}"


if __name__ == "__main__":
    main()
