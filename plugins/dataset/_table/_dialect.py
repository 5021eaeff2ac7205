"""How a table is written: its encoding, delimiter, line of names and decimal mark."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": " ", "dot": "."}
WORDS |= {"apostrophe": "'", "none": ""}
WRITTEN = {mark: word for word, mark in WORDS.items()}
AUTO = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What settings say of how a table is written; "auto" and None are left to be found."""

    encoding: str = AUTO
    delimiter: str = AUTO
    header: bool | None = None
    decimal: str = AUTO
    thousands: str = AUTO
    date_format: str | None = None
    na_values: tuple[str, ...] = ("",)
    likely_decimal: str = ""  # where a file's own numbers do not tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How a table is written; the delimiter " " stands for any number of blanks and tabs."""

    encoding: str
    delimiter: str
    header: bool
    decimal: str
    spaced: bool = False  # whether blanks stand before quotes

    def __str__(self) -> str:
        names = "a line of names" if self.header else "no line of names"
        decimal = WRITTEN[self.decimal]
        return f"{self.encoding}, delimiter {self.named_delimiter}, decimal {decimal}, {names}"

    @property
    def named_delimiter(self) -> str:
        """The delimiter in a word, if it has one."""
        return WRITTEN.get(self.delimiter, self.delimiter)

    def rows(self, file: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's last line and cells, and close the file; blank lines are no rows."""
        with io.TextIOWrapper(file, encoding=self.encoding, newline="") as text:
            if self.delimiter == " ":
                rows = ((line, row.split()) for line, row in enumerate(text, start=1))
            else:
                reader = csv.reader(text, delimiter=self.delimiter, skipinitialspace=self.spaced)
                rows = ((reader.line_num, row) for row in reader)
            for line, row in rows:
                if len(row) > 1 or "".join(row).strip():
                    yield line, row


def asked(*, encoding: str, delimiter: str, decimal: str, thousands: str, **others: Any) -> Asked:
    """Return what settings ask for; raise ValueError where one can mean nothing."""
    try:
        "a".encode("utf-8" if encoding == AUTO else encoding)
    except LookupError as error:
        raise ValueError(f"encoding={encoding!r} must be one that Python knows") from error
    return Asked(
        encoding=encoding,
        delimiter=_mark("delimiter", delimiter, ",;\t| :"),
        decimal=_mark("decimal", decimal, ".,"),
        thousands=_mark("thousands", thousands, ".,' "),
        **others,
    )


def _mark(key: str, value: str, allowed: str) -> str:
    mark = WORDS.get(value, value)
    if value == AUTO or (len(mark) == 1 and mark in allowed) or (key, mark) == ("thousands", ""):
        return mark
    words = [word for word, mark in WORDS.items() if mark and mark in allowed]
    raise ValueError(f"{key}={value!r} must be {AUTO}, {', '.join(words)}")
