"""How large, how deep and how often what a user writes may be, before anything expands it."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from experiments.errors import ConfigError
from experiments.text import shortened

MOST_JOBS = 100_000  # of a sweep
_LINE = 10_000  # characters of one setting of the command line
_LINES = 100_000  # characters of all
_ITEMS = 1_000  # commas of one setting; Hydra's parser takes half a second for them
_DEPTH = 40  # brackets within brackets, and levels of a YAML file
_FILE = 200_000  # characters of a YAML file
_NODES = 10_000  # values of a YAML file with its aliases written out
_EXPANDED = 100_000  # references that all references together may come to
_LAYERED = re.compile(r"\*[\w-]|^ {40}|(- ){8}", re.MULTILINE)
# What refers to another setting, and not to what has no references itself.
_REFERENCE = re.compile(r"\$\{(?!(?:run_id|checkout|scratch|now|oc\.env|python_version):)")


def check_lines(lines: Sequence[str]) -> None:
    """Refuse settings that would take a parser's time or memory; raise ConfigError."""
    total = sum(map(len, lines))
    if total > _LINES:
        raise ConfigError(f"The settings are {total} characters long; at most {_LINES}.")
    for line in lines:
        if problem := _line_problem(line):
            raise ConfigError(f"{shortened(line, 60)}: {problem}.")


def check_yaml(path: Path) -> None:
    """Refuse a YAML file whose aliases, depth or length would take time or memory."""
    size = path.stat().st_size
    if size > _FILE:
        raise ConfigError(f"{path} has {size} bytes; at most {_FILE}.")
    text = path.read_text(encoding="utf-8")
    # Few files have aliases or many levels, and looking for them is faster than parsing.
    if text.count("[") + text.count("{") <= _DEPTH and not _LAYERED.search(text):
        return
    nodes, depth = _expanded(text, path)
    if nodes > _NODES:
        raise ConfigError(f"{path} stands for {nodes} values by its aliases; at most {_NODES}.")
    if depth > _DEPTH:
        raise ConfigError(f"{path} is {depth} levels deep; at most {_DEPTH}.")


def count(start: float | Decimal, stop: float | Decimal, step: float | Decimal) -> float:
    """Return how many numbers a range has, without making them; infinity for one without end."""
    first, last, width = (Decimal(number) for number in (start, stop, step))
    if not (first.is_finite() and last.is_finite() and width.is_finite()) or width == 0:
        return math.inf
    return max(0, math.ceil((last - first) / width))


def check_jobs(counts: Sequence[float]) -> None:
    """Refuse a sweep of too many jobs; raise ConfigError."""
    jobs = math.prod(counts)
    if jobs > MOST_JOBS:
        told = f"{int(jobs)}" if jobs < 10**15 else "endlessly many"
        raise ConfigError(f"The sweep has {told} jobs; at most {MOST_JOBS}.")


def check_references(tree: Any) -> None:
    """Refuse settings that refer to each other so often that resolving them would not end."""
    if (references := _growth(tree)) > _EXPANDED:
        raise ConfigError(
            f"The settings refer to each other by ${{...}} in up to {references} ways; "
            f"at most {_EXPANDED}."
        )


def _line_problem(line: str) -> str | None:
    if len(line) > _LINE:
        return f"it is {len(line)} characters long; at most {_LINE}"
    if line.count(",") > _ITEMS:
        return f"it has {line.count(',') + 1} items; at most {_ITEMS}"
    if any("\ud800" <= c <= "\udfff" or c == "\0" for c in line):
        return "it has a character that is no text"
    if re.search(r"\d{1000}", line):
        return "it has a number of more than 1000 digits"
    depth = deepest = 0
    for bracket in re.findall(r"[\[({})\]]", line):
        depth += 1 if bracket in "[({" else -1
        deepest = max(deepest, depth)
    return f"it is {deepest} brackets deep; at most {_DEPTH}" if deepest > _DEPTH else None


def _expanded(text: str, path: Path) -> tuple[int, int]:
    """Return how many values YAML stands for, and how deep they are, without making them."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []  # each anchor, and the values before it
    nodes = deepest = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                nodes += sizes.get(event.anchor, _NODES)  # of itself, it has no end
            elif isinstance(event, yaml.ScalarEvent):
                nodes += 1
                if event.anchor:
                    sizes[event.anchor] = 1
            elif isinstance(event, yaml.CollectionStartEvent):
                nodes += 1
                opened.append((event.anchor, nodes))
                deepest = max(deepest, len(opened))
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = opened.pop()
                if anchor:
                    sizes[anchor] = nodes - before + 1
            if nodes > _NODES or deepest > _DEPTH:
                break
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is no YAML: {shortened(str(error), 200)}") from None
    return nodes, deepest


def _growth(tree: Any) -> int:
    """Return how many references those of a tree can come to where one leads to the next.

    Each value is met once on the way, so that the product of all choices is never too low.
    """
    if isinstance(tree, str):
        return max(1, len(_REFERENCE.findall(tree)))
    values = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    leading = [value for value in values if _REFERENCE.search(str(value))]
    return max(1, len(leading)) * math.prod(map(_growth, leading))
