"""Measure whole sweeps from the command line to the exit: `python -m benchmarks.sweeps`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, markdown
from benchmarks.processes import PACKAGES, RUN, Program, Usage, run, table

EXPLANATION = """\
Seconds of wall time and the peak of resident memory of the largest process, medians of {repeats}
rounds in which the processes took turns, each with an MLflow store of its own. A ratio compares a
process with the one that its row names, in the same round: median (lowest-highest); below 1 it is
faster. The sweep is `mlp` 64-64-10 with Adam on digits, 20 epochs, batch of 32: {runs} runs of 16
learning rates and {seeds} seeds. `in turn` is `hydra/launcher=basic`, and `in two processes` the
same for half of the seeds in each of two at once; `jax` is `vmap` over `lax.scan`, which trains and
evaluates, and records nothing."""
RATES = [0.0001 * 1.5**n for n in range(16)]


def programs(seeds: int, jax: Path | None) -> list[Program]:
    """List what is measured."""
    ours = [str(RUN), "-m", "output={output}", "tracking.uri=sqlite:///{output}/mlflow.db"]
    work = ["model=mlp", "model.hidden=[64]", "optimizer=adam", "epochs=20"]
    work += [f"optimizer.lr={','.join(f'{rate:.6g}' for rate in RATES)}"]
    every = f"seed=range({seeds})"
    basic = "hydra/launcher=basic"
    found = [
        Program(name="in lanes", against="in turn", command=[*ours, *work, every]),
        Program(
            name="in lanes, compiled",
            against="in turn",
            command=[*ours, *work, every, "device.compile=true"],
        ),
        Program(name="in turn", against="in turn", command=[*ours, *work, every, basic]),
        Program(
            name="in two processes",
            against="in turn",
            command=["-m", "benchmarks.halves", str(seeds), *ours, *work, basic],
        ),
    ]
    if jax is not None:
        script = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
        own = [str(jax), str(Path(__file__).with_name("jax_sweep.py")), str(seeds)]
        found.append(Program(name="jax", against="in turn", command=["-c", script, *own]))
    return found


def main() -> None:
    """Run every program in turn, round after round, and write the table."""
    options = _options()
    entries = [p for p in programs(options.seeds, options.jax) if p.name not in options.without]
    usages = {program.name: Usage() for program in entries}
    for number in range(options.repeats):
        for program in entries:
            seconds, memory = run(program.command)
            print(f"round {number + 1}: {program.name}: {seconds:.1f} s", file=sys.stderr)
            usages[program.name].seconds.append(seconds)
            usages[program.name].memory.append(memory)
    explanation = EXPLANATION.format(
        repeats=options.repeats, runs=16 * options.seeds, seeds=options.seeds
    )
    parts = [machine.origin(PACKAGES), explanation, table(entries, usages)]
    markdown.publish("\n\n".join(parts), options.write, f"sweeps-{16 * options.seeds}")


def _options(arguments: Sequence[str] | None = None) -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.sweeps")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--jax", type=Path, help="the Python of an environment with jax")
    parser.add_argument("--without", nargs="*", default=[], help="names of programs to leave out")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put the table between its sweeps marks"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
