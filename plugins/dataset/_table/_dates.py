"""Dates as people write them, read as days."""

import re
from collections.abc import Iterator
from typing import Any

_DAY = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}:\d{2}.*)?"
_ORDERS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y")
_FORMATS = [order + time for order in _ORDERS for time in ("", " %H:%M", " %H:%M:%S")]
_FEW = 100  # which are tried before all are


def is_date(cell: str) -> bool:
    """Say whether a cell looks like a date."""
    return re.fullmatch(_DAY, cell) is not None


def readings(texts: Any, date_format: str | None) -> Iterator[tuple[Any, str]]:
    """Yield the days since 1970 of a pandas Series of texts, NaN where one is no such date.

    With each comes its format, the likeliest first.
    """
    few = texts[:_FEW]
    if date_format is None and few.str.fullmatch(_DAY).mean() < 0.5:
        return
    for form in ("ISO8601", *_FORMATS) if date_format is None else (date_format,):
        if _days(few, form).notna().any():
            yield _days(texts, form).to_numpy(), form


def days(times: Any) -> Any:
    """Return a pandas Series of times as days since 1970, NaN where there is none."""
    import pandas

    if times.dt.tz is None:
        times = times.dt.tz_localize("UTC")
    return (times - pandas.Timestamp(0, tz="UTC")) / pandas.Timedelta(days=1)


def _days(texts: Any, form: str) -> Any:
    import pandas

    return days(pandas.to_datetime(texts, format=form, errors="coerce", utc=True))
