"""Tables in Markdown, and the part of a file that they are written to."""

from collections.abc import Sequence
from math import floor, log10
from pathlib import Path
from statistics import median


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(line, widths) for line in [header, rule, *rows])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def number(value: float) -> str:
    """Return a positive number with three digits that tell, or all those before the point."""
    return f"{value:,.{max(0, 2 - floor(log10(value)))}f}"


def spread(values: Sequence[float]) -> str:
    """Return the median with the lowest and the highest."""
    return f"{number(median(values))} ({number(min(values))}-{number(max(values))})"


def publish(text: str, path: Path | None, name: str) -> None:
    """Print a text, and put it between a file's marks `name`:begin and `name`:end."""
    print(text)
    if path is None:
        return
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if begin not in old or end not in old:
        old = f"{old}\n{begin}\n{end}\n".lstrip("\n")
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
