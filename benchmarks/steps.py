"""Measure what a step costs: `python -m benchmarks.steps --root FOLDER`.

Every contender takes the same steps in turn, round after round; a ratio compares two contenders
within a round.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks import contenders, machine, markdown, race, rounds
from benchmarks.options import some_of
from benchmarks.race import Race, Timing
from benchmarks.work import WORKS

FLOOR = "products"  # the contender that computes nothing but the products
PACKAGES = ("torch", "lightning", "jax", "keras", "optax", "numpy")
EXPLANATION = """\
Microseconds are of one step: medians of {repeats} rounds, in which the contenders took turns.
`first call` is from the data in memory to the end of the first round, compilation included.
`products` computes only the step's matrix products or convolutions; `of it` is the share of a
contender's time that these take, and GFLOP/s count these operations alone. A ratio compares one of
ours with the row in the same round: median (lowest-highest); below 1 ours is faster."""


def main() -> None:
    """Run the races that the command line asks for, and write their tables."""
    options = _options()
    entrants = [FLOOR, *(name for name in options.contenders if name != FLOOR)]
    parts = [machine.origin(PACKAGES), EXPLANATION.format(repeats=options.repeats)]
    for threads, work in product(options.threads, options.works):
        print(f"{work}, threads: {threads}", file=sys.stderr)
        entry = Race(
            work=WORKS[work],
            threads=threads,
            contenders=entrants,
            repeats=options.repeats,
            root=options.root,
        )
        parts.append(_section(entry, *race.run(entry)))
    markdown.publish("\n\n".join(parts), options.write, "steps")


def _section(entry: Race, timings: Mapping[str, Timing], missing: Mapping[str, str]) -> str:
    work, plural = entry.work, "s" if entry.threads > 1 else ""
    title = f"### {work.name}, batch of {work.batch_size}, {entry.threads} thread{plural}"
    ours = [name for name in timings if name.startswith("ours_")]
    header = ["contender", "microseconds", "first call, s", "GFLOP/s", "of it"]
    header += [f"{name} / row" for name in ours]
    slowest_first = sorted(timings, key=lambda name: -median(timings[name].steps))
    rows = [_row(name, entry, timings, ours) for name in slowest_first]
    parts = [title, markdown.table(header, rows)]
    parts += [f"Not installed: {name} ({module})." for name, module in missing.items()]
    return "\n\n".join(parts)


def _row(name: str, entry: Race, timings: Mapping[str, Timing], ours: Sequence[str]) -> list[str]:
    timing = timings[name]
    seconds = median(timing.steps)
    share = median(_ratios(timings[FLOOR], timing))
    return [
        f"`{name}`",
        markdown.number(seconds * 1e6),
        markdown.number(timing.first),
        markdown.number(entry.work.flops / seconds / 1e9),
        f"{share:.0%}",
        *("" if name == our else markdown.spread(_ratios(timings[our], timing)) for our in ours),
    ]


def _ratios(timing: Timing, other: Timing) -> list[float]:
    return rounds.ratios(timing.steps, other.steps)


def _options() -> Namespace:
    names = contenders.names()
    parser = ArgumentParser(prog="python -m benchmarks.steps")
    add = parser.add_argument
    add("--root", type=Path, required=True, help="the folder of FashionMNIST/raw")
    add("--threads", type=_counts, default=[1], metavar="1,2")
    add("--works", type=some_of(WORKS), default=list(WORKS), metavar=",".join(WORKS))
    add("--contenders", type=some_of(names), default=names, metavar="A,B", help=", ".join(names))
    add("--repeats", type=int, default=9, help="rounds that count")
    add("--write", type=Path, metavar="FILE", help="put the tables between its steps marks")
    return parser.parse_args()


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


if __name__ == "__main__":
    main()
