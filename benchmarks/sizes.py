"""Measure the eager step from thousands to millions of parameters: `python -m benchmarks.sizes`.

The product's loop and the forms of the rule in torch.optim take turns in one process.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks import machine, markdown, ours, peers, rounds
from benchmarks.options import count, some_of
from benchmarks.rounds import Times
from benchmarks.scale import SCALES
from experiments.report import figures

RULES = ("sgd", "momentum", "adam", "adamw")
FORMS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}
EXPLANATION = """\
Milliseconds are of one step, from the batch to the updated parameters: medians of {rounds} rounds,
in which this program's loop and the forms of torch.optim took turns in one process; threads:
{threads}. A ratio compares the loop with the fastest form in the same round, by wall time and by
the processor's: median (lowest-highest); below 1 the loop is faster. Batches are of 64 items, of 32
for `cnn` and of 8 for `resnet18`, whose images are 32x32. The loop reads its batches from the data
set, and torch {reads}."""


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured with one rule at one size."""

    scale: str
    parameters: int
    times: Mapping[str, Times]

    @property
    def wall(self) -> list[float]:
        """Return each round's ratio to the fastest form, of wall time."""
        return _ratios({name: times.wall for name, times in self.times.items()})

    @property
    def cpu(self) -> list[float]:
        """Return each round's ratio to the fastest form, of the processor's time."""
        return _ratios({name: times.cpu for name, times in self.times.items()})


def main() -> None:
    """Measure every rule at every size, and write the tables and the curve."""
    options = _options()
    torch.set_num_threads(options.threads)
    ours.publish()
    rules, sizes = options.rules, options.sizes
    found = {rule: [_case(rule, size, options) for size in sizes] for rule in rules}
    reads = "has them ready" if options.ready else "does so in the same way"
    explanation = EXPLANATION.format(rounds=options.rounds, threads=options.threads, reads=reads)
    parts = [machine.origin(["torch"]), explanation]
    parts += [f"### {rule}\n\n{_table(cases)}" for rule, cases in found.items()]
    markdown.publish("\n\n".join(parts), options.write, "sizes")
    if options.picture:
        _draw(options.picture, found)


def _case(rule: str, name: str, options: Namespace) -> Case:
    print(f"{rule}, {name}", file=sys.stderr)
    scale, peer, given = SCALES[name], peers.TORCH[rule], options.ready
    settings = [f"optimizer={rule}", f"device.threads={options.threads}"]
    with scale.data() as data:
        session = scale.session(data, *settings)
        parameters = session.params.vector.numel()
        takes = {
            form: peers.take(session, scale.module(session), peer.formed(**more), given=given)
            for form, more in FORMS.items()
        }
        takes["ours"] = ours.take(session)
        return Case(name, parameters, rounds.run(takes, rounds=options.rounds, turn=options.turn))


def _ratios(times: Mapping[str, Sequence[float]]) -> list[float]:
    return rounds.ratios(times["ours"], min((times[form] for form in FORMS), key=median))


def _table(cases: Sequence[Case]) -> str:
    header = ["network", "parameters", "ours", *FORMS, "ours / fastest", "by processor time"]
    return markdown.table(header, [_row(case) for case in cases])


def _row(case: Case) -> list[str]:
    milliseconds = (median(case.times[name].wall) * 1e3 for name in ("ours", *FORMS))
    return [
        SCALES[case.scale].model,
        f"{case.parameters:,}",
        *map(markdown.number, milliseconds),
        markdown.spread(case.wall),
        markdown.spread(case.cpu),
    ]


def _draw(path: Path, found: Mapping[str, Sequence[Case]]) -> None:
    """Draw the ratio over the number of parameters: a line for the mlp, a mark for the others."""
    title = "A step beside the fastest form of torch.optim, by processor time"
    with figures.drawing(path, title=title, size=(9, 4.5)) as figure:
        axes = figure.add_subplot(xlabel="parameters", ylabel="ours / torch", xscale="log")
        axes.axhline(1, color="black", linewidth=1)
        for number, (rule, cases) in enumerate(found.items()):
            for model, look in {"mlp": "o-", "cnn": "s", "resnet18": "^"}.items():
                some = [case for case in cases if SCALES[case.scale].model == model]
                x, y = [case.parameters for case in some], [median(case.cpu) for case in some]
                axes.plot(x, y, look, color=f"C{number}", label=f"{rule}, {model}")
        axes.legend(ncols=len(found), fontsize=8)
        axes.margins(y=0.1)
        axes.set_ylim(bottom=0)


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.sizes")
    add = parser.add_argument
    sizes = list(SCALES)
    add("--rules", type=some_of(RULES), default=RULES, metavar="A,B", help=", ".join(RULES))
    add("--sizes", type=some_of(sizes), default=sizes, metavar="A,B", help=", ".join(sizes))
    add("--rounds", type=count, default=25)
    add("--turn", type=float, default=0.05, help="seconds of a turn, of at least one step")
    add("--threads", type=count, default=1)
    add("--ready", action="store_true", help="torch has its batches ready, and reads none")
    add("--write", type=Path, metavar="FILE", help="put the tables between its sizes marks")
    add("--picture", type=Path, metavar="FILE", help="draw the curve")
    return parser.parse_args()


if __name__ == "__main__":
    main()
