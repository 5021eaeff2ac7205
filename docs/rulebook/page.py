"""The page of all rules, `docs/rules.md`: what stands in their docstrings and fields, and in files.

It is made of the registry, the tables of the oracles, and `costs.csv`, which
`python -m benchmarks.rules --costs` writes.
"""

import csv
import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from oracles import core, modern, research, transforms
from oracles.case import Case

from experiments import lookup, plugins
from experiments.plugin import registry
from experiments.plugin.bounds import Range
from experiments.plugin.rulepart import RulePart

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "rules.md"
PICTURES = ROOT / "docs" / "images" / "rules"
HOLDERS = ("route",)  # whose rules take the steps: they have no cost and no picture of their own
_OF_RULES = [*core.CASES, *modern.CASES, *research.CASES]
_OF_TRANSFORMS = transforms.CASES
_COST_OF = {"muon": "muon_adamw"}  # which gives what is no matrix to another rule
_MARKUP = re.compile(r"[*<>\[\]|]|\b_|_\b|^[-+#=]", re.MULTILINE)
_SIGNS = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}
_SCALES = {"log": "log", "linear": "linear", "complement": "log of 1 − it"}

Costs = Mapping[str, Sequence[str]]  # time, memory and state


def names(kind: str) -> list[str]:
    """Return the rules or transforms that belong to this checkout, in their order."""
    own = ROOT / "plugins"
    known = plugins(kind).items()
    return sorted(n for n, cls in known if Path(registry.source(cls)).is_relative_to(own))


def text() -> str:
    """Return the page."""
    head = (HERE / "head.md").read_text(encoding="utf-8").rstrip()
    costs = read_costs()
    parts = [head, _overview(costs)]
    for kind, title in (("optimizer", "Rules"), ("transform", "Transforms")):
        parts += [f"## {title}", *(_section(kind, name, costs) for name in names(kind))]
    return "\n\n".join(parts) + "\n"


def read_costs() -> Costs:
    """Return time, memory and state of each rule and of SGD with each transform."""
    with (HERE / "costs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    # A few numbers beside so many parameters are next to nothing.
    return {name: [*cost, state if float(state) >= 0.01 else "0"] for name, *cost, state in rows}


def cost_name(kind: str, name: str) -> str:
    """Return what a rule or transform is called among the costs."""
    return _COST_OF.get(name, name) if kind == "optimizer" else f"sgd+{name}"


def _overview(costs: Costs) -> str:
    rows = []
    for kind in ("optimizer", "transform"):
        for name in names(kind):
            summary = _in_cell(_paragraphs(lookup(kind, name))[0].rstrip(".:"))
            time, _, state = costs.get(cost_name(kind, name), ("", "", ""))
            rows.append([f"[{name}](#{name})", summary, time, state])
    header = ["name", "what it does", "time / sgd", "bytes a parameter"]
    return "## All of them\n\n" + _table(header, rows, right=(2, 3))


def _section(kind: str, name: str, costs: Costs) -> str:
    plugin = lookup(kind, name)
    assert issubclass(plugin, RulePart)
    parts = [f"### {name}"]
    if (PICTURES / f"{name}.png").exists():
        parts.append(f"![Path of {name}](images/rules/{name}.png)")
    parts += [_escaped(paragraph) for paragraph in _paragraphs(plugin)]
    parts += [_fields(plugin), "\n".join(f"- {fact}" for fact in _facts(kind, name, plugin, costs))]
    return "\n\n".join(filter(None, parts))


def _paragraphs(plugin: type) -> list[str]:
    return re.split(r"\n\s*\n", inspect.cleandoc(plugin.__doc__ or ""))


def _fields(plugin: type[RulePart]) -> str:
    """Return the table of a part's fields."""
    rows = [
        [f"`{field.name}`", _shown(_default(field)), _limits(field), _space(field)]
        for field in dataclasses.fields(plugin)
    ]
    header = ["field", "default", "allowed", "where a search looks"]
    return _table(header, rows) if rows else ""


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _shown(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "to be given"
    if isinstance(value, Enum):
        return f"`{value.name}`"
    if value is None or isinstance(value, bool):
        return {None: "`null`", True: "`true`", False: "`false`"}[value]
    return f"`{value:g}`" if isinstance(value, (int, float)) else f"`{value}`"


def _limits(field: "dataclasses.Field[Any]") -> str:
    limits = field.metadata.get("limits", {})
    if isinstance(default := _default(field), Enum):
        return ", ".join(f"`{one.name}`" for one in type(default))
    return ", ".join(f"{_SIGNS[name]} {limit:g}" for name, limit in limits.items())


def _space(field: "dataclasses.Field[Any]") -> str:
    space = field.metadata.get("space")
    if not isinstance(space, Range):
        return ""
    source = f" ({space.source})" if space.source else ""
    return _in_cell(f"{space.low:g} to {space.high:g}, {_SCALES[space.scale]}{source}")


def _facts(kind: str, name: str, plugin: type[RulePart], costs: Costs) -> Iterator[str]:
    """Say what a part costs, what it is compared with, what it cannot do, and where it stands."""
    if cost := costs.get(cost_name(kind, name)):
        time, memory, state = cost
        step = "SGD's step with it" if kind == "transform" else "a step"
        step += f" of `{_COST_OF[name]}`" if name in _COST_OF else ""
        yield (
            f"Cost: {step} takes {time} times as long as SGD's and {memory} times the memory; "
            f"it remembers {state} bytes a parameter."
        )
    yield from _oracles(kind, name)
    lacks = {"in lanes": plugin.in_lanes, "in compiled programs": plugin.in_programs}
    if missing := " nor ".join(where for where, can in lacks.items() if not can):
        yield f"Not {missing}: it branches on values or on the step."
    if plugin.full_batch:
        yield "Each step sees all of the train split: `batch_size` is its size."
    source = Path(registry.source(plugin)).relative_to(ROOT).as_posix()
    yield f"Code: [{source}](../{source})"


def _oracles(kind: str, name: str) -> Iterator[str]:
    """Say what a part is compared with, in which form, and how near it comes."""
    cases = [c for c in _OF_RULES if c.rule == name] if kind == "optimizer" else []
    cases = cases or [c for c in _OF_TRANSFORMS if name in c.transforms and kind == "transform"]
    found: dict[float, dict[str, dict[str, None]]] = {}
    for case in cases:
        own = case.fields if kind == "optimizer" else case.transforms[name]
        form = _form(lookup(kind, name), own)
        found.setdefault(case.tolerance, {}).setdefault(form, {})[_against(case)] = None
    for limit, forms in sorted(found.items()):
        told = "; ".join(form + ", ".join(forms[form]) for form in sorted(forms, key=len))
        yield f"Equal in float64, within {limit:g}: {told}."
    test = Path("tests") / "plugins" / f"test_{name}.py"
    if not cases and (ROOT / test).exists():
        yield f"Compared by [{test.as_posix()}](../{test.as_posix()})"


def _form(plugin: type, fields: Mapping[str, Any]) -> str:
    """Name the fields that make another form of a rule than its own."""
    defaults = {field.name: _default(field) for field in dataclasses.fields(plugin)}
    forms = [
        f"`{name}={_shown(value).strip('`')}`"
        for name, value in fields.items()
        if isinstance(value, (bool, Enum)) and value != defaults[name]
    ]
    return f"with {' '.join(forms)} " if forms else ""


def _against(case: Case) -> str:
    name = case.against
    is_library = "." in name and " " not in name
    return f"`{name}`" if is_library else name.replace("NumPy", "NumPy of the equation")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def _escaped(paragraph: str) -> str:
    """Return text whose characters mean nothing to Markdown, but for code between backticks."""
    parts = paragraph.split("`")
    parts[::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


def _in_cell(words: str) -> str:
    return _escaped(" ".join(words.split()))
