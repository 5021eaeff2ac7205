"""Measure whole processes, exit included: `python -m benchmarks.processes --root FOLDER`."""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import machine, markdown
from benchmarks.race import CHECKOUT

RUN = CHECKOUT / "run.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT), "DO_NOT_TRACK": "true"}
PACKAGES = ("torch", "lightning", "hydra-core", "mlflow")
EXPLANATION = """\
Seconds of wall time and the peak of resident memory of the largest process, medians of {repeats}
rounds in which the processes took turns. A ratio compares a process with the one that its row
names, in the same round: median (lowest-highest); below 1 it is faster. `ours` is `run.py`, with
the upload to MLflow; `lightning` does the same work (Fashion-MNIST, 784-128-10, Adam, batch of
128, the test images after each epoch) by Hydra, Lightning and its MLflow logger on sqlite. `ours,
1 step` is what passes until the first step of digits is taken and the process has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A command and the one that it is compared with; {output} is a new folder each time."""

    name: str
    against: str
    command: Sequence[str]


@dataclass(slots=True)
class Usage:
    """Seconds and peak MiB of each round."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def programs(root: Path) -> list[Program]:
    """List what is measured."""
    ours = [str(RUN), "output={output}", "tracking.uri=sqlite:///{output}/mlflow.db"]
    work = [f"dataset.root={root}", "dataset.val_fraction=0", "dataset=fashion_mnist"]
    work += ["model=mlp", "optimizer=adam", "batch_size=128"]
    peer = ["-m", "benchmarks.lightning_process", f"root={root}", "output={output}"]
    step = ["epochs=1", "max_steps=1"]
    silent = [str(RUN), "tracking=none", *step]
    found = []
    for epochs, unit in ((1, "epoch"), (10, "epochs")):
        names = [f"{program}, {epochs} {unit}" for program in ("ours", "lightning")]
        commands = [[*ours, *work, f"epochs={epochs}"], [*peer, f"epochs={epochs}"]]
        found += [
            Program(name=name, against=names[1], command=command)
            for name, command in zip(names, commands, strict=True)
        ]
    torch = "import torch"
    return [
        *found,
        Program(name=torch, against=torch, command=["-c", torch]),
        Program(name="ours, 1 step, no tracking", against=torch, command=silent),
        Program(name="ours, 1 step", against=torch, command=[*ours, *step]),
    ]


def main() -> None:
    """Run every program in turn, round after round, and write the table."""
    options = _options()
    entries = programs(options.root.resolve())
    usages = {program.name: Usage() for program in entries}
    for number in range(options.repeats):
        turn = number % len(entries)
        for program in entries[turn:] + entries[:turn]:
            print(f"round {number + 1}: {program.name}", file=sys.stderr)
            seconds, memory = run(program.command)
            usages[program.name].seconds.append(seconds)
            usages[program.name].memory.append(memory)
    explanation = EXPLANATION.format(repeats=options.repeats)
    parts = [machine.origin(PACKAGES), explanation, table(entries, usages)]
    markdown.publish("\n\n".join(parts), options.write, "processes")


def run(command: Sequence[str]) -> tuple[float, float]:
    """Return a process's seconds and its peak MiB; raise CalledProcessError where it fails."""
    with TemporaryDirectory() as output:
        arguments = [sys.executable, *(part.format(output=output) for part in command)]
        with (Path(output) / "log.txt").open("w+b") as log:
            start = time.perf_counter()
            process = subprocess.Popen(
                arguments, cwd=output, env=ENVIRONMENT, stdout=log, stderr=log
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                log.seek(0)
                sys.stderr.buffer.write(log.read())
                raise subprocess.CalledProcessError(process.returncode, arguments)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes, KiB
    return seconds, usage.ru_maxrss / unit


def table(entries: Sequence[Program], usages: Mapping[str, Usage]) -> str:
    """Return a row for each program: its medians, and the ratio to the one it is compared with."""
    rows = []
    for program in entries:
        usage, other = usages[program.name], usages[program.against]
        ratios = [a / b for a, b in zip(usage.seconds, other.seconds, strict=True)]
        itself = program.name == program.against
        rows.append(
            [
                program.name,
                markdown.number(median(usage.seconds)),
                markdown.number(median(usage.memory)),
                "" if itself else markdown.spread(ratios),
                "" if itself else program.against,
            ]
        )
    return markdown.table(["process", "seconds", "peak MiB", "ratio", "to"], rows)


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.processes")
    parser.add_argument("--root", type=Path, required=True, help="the folder of FashionMNIST/raw")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table between its processes marks"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
