"""Numbers as people write them: decimal commas, thousands separators."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from plugins.dataset._table._dialect import AUTO

_BLANKS = " \u00a0\u202f"  # a plain one, one that does not break, and its narrow form
_OTHER = {".": ",", ",": "."}


def pattern(decimal: str, thousands: str = "") -> str:
    """Return the regular expression of numbers with these marks."""
    point = re.escape(decimal)
    plain = rf"\d+(?:{point}\d*)?|{point}\d+"
    if thousands:
        mark = f"[{_BLANKS}]" if thousands == " " else re.escape(thousands)
        plain += rf"|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+(?:{point}\d*)?"
    return rf"[+-]?(?:{plain})(?:[eE][+-]?\d+)?"


_ANY = re.compile("|".join(pattern(point, mark) for point, mark in (".,", ",.", ". ", ".'", ", ")))
_GROUPS = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:\{mark}\d{{3}})+") for mark in ".,"}


def is_number(cell: str) -> bool:
    """Say whether a cell is a number in any of the ways to write one."""
    return _ANY.fullmatch(cell.strip()) is not None


def decimal(cells: Sequence[str], delimiter: str, likely: str = "") -> str:
    """Return the decimal mark of cells: a comma where more of them have one than a point.

    What may be thousands as well, as 1,234, counts where nothing else does, no mark is `likely`,
    and the delimiter is no comma.
    """
    certain, possible = {".": 0, ",": 0}, {".": 0, ",": 0}
    for mark in certain:
        fits = re.compile(pattern(mark, _OTHER[mark]))
        for cell in filter(fits.fullmatch, (cell.strip() for cell in cells if mark in cell)):
            if cell.rfind(mark) > cell.rfind(_OTHER[mark]):
                counts = possible if _GROUPS[mark].fullmatch(cell) else certain
                counts[mark] += 1
    if not any(certain.values()) and likely:
        return likely
    if not any(certain.values()) and delimiter != ",":
        certain = possible
    return "," if certain[","] > certain["."] else "."


def formats(found: str, *, decimal: str, thousands: str) -> Iterator[tuple[str, str]]:
    """Yield the decimal marks and thousands separators to try, as settings leave them open."""
    for point in (found, _OTHER[found]) if decimal == AUTO else (found,):
        for mark in ("", _OTHER[point], " ", "'") if thousands == AUTO else (thousands,):
            if mark != point:
                yield point, mark


def read(texts: Any, decimal: str, thousands: str) -> Any:
    """Return a pandas Series of texts as an array of float64, NaN where one is no number."""
    import numpy as np
    import pandas

    fits = texts.str.fullmatch(pattern(decimal, thousands)).to_numpy(dtype=bool)
    values = np.full(len(texts), np.nan)
    cleaned = texts[fits]
    for mark in _BLANKS if thousands == " " else thousands:
        cleaned = cleaned.str.replace(mark, "", regex=False)
    cleaned = cleaned.str.replace(decimal, ".", regex=False)
    values[fits] = pandas.to_numeric(cleaned).astype("float64")
    return values
