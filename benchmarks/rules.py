"""Measure what every rule and every transform costs beside SGD: `python -m benchmarks.rules`.

All take turns in one process, and with them what torch.optim and a rule's inventors have.
"""

import csv
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from benchmarks import allocations, machine, markdown, ours, peers, rounds
from benchmarks.options import count, some_of
from benchmarks.race import CHECKOUT
from benchmarks.rounds import Times
from benchmarks.scale import SCALES
from benchmarks.work import Take
from experiments import lookup, plugins
from experiments.errors import ExperimentError
from experiments.plugin.rulepart import RulePart

BASE = "sgd"
WHOLE = f"{BASE}, whole data"  # what rules are compared with that see all of it at each step
COSTS = ["rule", "time / sgd", "memory / sgd", "state, bytes a parameter"]
PEERS = {"torch": peers.TORCH, "official": peers.OFFICIAL}
EXPLANATION = """\
Work: {work}; threads: {threads}.

Microseconds are of processor time of one step, from the batch to the updated parameters: medians of
{rounds} rounds, in which all took turns in one process. Ratios are within a round: median
(lowest-highest). `state` is what the rule remembers, in bytes a parameter. `memory / sgd` is of all
that a step needs: parameters, gradients, state, and the most that is taken meanwhile. `/ torch`
compares with the rule of torch.optim, fused where it has that form, and `/ official` with the
implementation of the rule's inventors; the batches of both lie in memory. Below 1 this program is
faster. `sgd+name` is SGD with a transform. A rule that sees the whole data at each step is compared
with SGD that does."""


@dataclass(slots=True)
class Field:
    """Who takes part, by rule and by `rule / peer`, and why others do not.

    `state` is what a rule remembers, in bytes a parameter, and `memory` all bytes of its step.
    """

    work: str = ""
    takes: dict[str, Take] = field(default_factory=dict)
    state: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)  # rules that see all data at each step

    def base(self, name: str) -> str:
        """Name what a rule is compared with."""
        return WHOLE if name in self.whole else BASE


def main() -> None:
    """Measure the rules that the command line asks for, and write the table."""
    ours.publish()
    known = _settings()
    options = _options(known)
    torch.set_num_threads(options.threads)
    with SCALES[options.size].data() as data:
        names = [BASE, *(name for name in options.rules if name != BASE)]
        entered = Field()
        for name in names:
            print(name, file=sys.stderr)
            more = _whole(entered, name, data, options) if _is_full_batch(name) else []
            _enter(entered, name, data, [*known[name], *options.settings, *more], options)
    if BASE not in entered.takes:
        sys.exit("\n".join(entered.missing))
    times = rounds.run(entered.takes, rounds=options.rounds, turn=options.turn)
    explanation = EXPLANATION.format(
        work=entered.work, threads=options.threads, rounds=options.rounds
    )
    header = ["rule", "microseconds", "/ sgd", "state", "memory / sgd", *(f"/ {p}" for p in PEERS)]
    rows = [_row(name, entered, times) for name in entered.state]
    if options.costs:
        _write_costs(options.costs, entered, times)
    parts = [machine.origin(["torch", "schedulefree", "prodigyopt"]), explanation]
    parts += [markdown.table(header, rows), "\n".join(f"- {line}" for line in entered.missing)]
    markdown.publish("\n\n".join(filter(None, parts)), options.write, "rules")


def _settings() -> dict[str, list[str]]:
    """Return the settings of every rule and preset, and of every transform of SGD."""
    presets = (path.stem for path in (CHECKOUT / "conf" / "optimizer").glob("*.yaml"))
    rules = {n: [f"optimizer={n}"] for n in sorted({*plugins("optimizer"), *presets})}
    transforms = sorted(plugins("transform"))
    return rules | {f"{BASE}+{n}": [*rules[BASE], f"transform=[{n}]"] for n in transforms}


def _is_full_batch(name: str) -> bool:
    rule = lookup("optimizer", name) if name in plugins("optimizer") else None
    return rule is not None and issubclass(rule, RulePart) and rule.full_batch


def _whole(entered: Field, name: str, data: Sequence[str], options: Namespace) -> list[str]:
    """Let SGD with batches of the whole data take part; return the setting that makes these."""
    items = SCALES[options.size].session(data).batches["train"].size
    settings = [f"batch_size={items}"]
    if not entered.whole:
        _enter(entered, WHOLE, data, [f"optimizer={BASE}", *options.settings, *settings], options)
    entered.whole += [name, WHOLE]
    return settings


def _enter(
    entered: Field, name: str, data: Sequence[str], settings: Sequence[str], options: Namespace
) -> None:
    """Let a rule and its peers take part, or note why they do not."""
    scale = SCALES[options.size]
    try:
        session = scale.session(data, *settings, f"device.threads={options.threads}")
        take = ours.take(session)
        take(3)
    except ExperimentError as error:
        entered.missing.append(f"`{name}` is left out: {' '.join(str(error).split())}")
        return
    vector, batch_size = session.params.vector, session.experiment.batch_size
    work = f"`{scale.model}`, {vector.numel():,} parameters, batches of {batch_size} items"
    entered.work = entered.work or work
    state = sum(t.nbytes for memory in session.state.values() for t in memory.values())
    entered.takes[name] = take
    entered.state[name] = state / vector.numel()
    grads = session.params.grads  # of a large model none between steps
    kept = vector.nbytes + state + (grads.nbytes if isinstance(grads, torch.Tensor) else 0)
    entered.memory[name] = kept + allocations.peak(take)
    for kind, known in PEERS.items():
        if peer := known.get(name):
            try:
                entered.takes[f"{name} / {kind}"] = peers.take(
                    session, scale.module(session), peer.fastest()
                )
            except ModuleNotFoundError as error:
                entered.missing.append(f"`{name}`: {error.name} is not installed.")


def _row(name: str, entered: Field, times: Mapping[str, Times]) -> list[str]:
    own, base = times[name].cpu, entered.base(name)
    peer = {kind: times.get(f"{name} / {kind}") for kind in PEERS}
    return [
        f"`{name}`",
        markdown.number(median(own) * 1e6),
        markdown.spread(rounds.ratios(own, times[base].cpu)),
        f"{entered.state[name]:.1f}",
        markdown.number(entered.memory[name] / entered.memory[base]),
        *(markdown.spread(rounds.ratios(own, p.cpu)) if p else "" for p in peer.values()),
    ]


def _write_costs(path: Path, entered: Field, times: Mapping[str, Times]) -> None:
    """Write time and memory beside those of SGD, and the state, in the place of earlier rows."""
    known: dict[str, list[str]] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            known = {row[0]: row for row in list(csv.reader(file))[1:]}
    for name, state in entered.state.items():
        base = entered.base(name)
        time = median(rounds.ratios(times[name].cpu, times[base].cpu))
        memory = entered.memory[name] / entered.memory[base]
        known[name] = [name, f"{time:.3g}", f"{memory:.3g}", f"{round(state, 2):g}"]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = [known[name] for name in sorted(known) if name != WHOLE]
        csv.writer(file, lineterminator="\n").writerows([COSTS, *rows])


def _options(known: Collection[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.rules")
    add = parser.add_argument
    add("--rules", type=some_of(known), default=list(known), metavar="A,B", help=", ".join(known))
    add("--size", choices=SCALES, default="0.1M")
    add("--settings", nargs="*", default=[], help="of all, as batch_size=128")
    add("--rounds", type=count, default=25)
    add("--turn", type=float, default=0.05, help="seconds of a turn, of at least one step")
    add("--threads", type=count, default=1)
    add("--costs", type=Path, metavar="FILE", help="a CSV file that gets a row a rule")
    add("--write", type=Path, metavar="FILE", help="put the table between its rules marks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
