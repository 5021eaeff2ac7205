"""Which columns of a table are inputs, targets, groups and times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments import ConfigError, DataError, options
from plugins.dataset._table import _columns
from plugins.dataset._table._column import Column, Kind
from plugins.dataset._table._table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Roles:
    """The settings that name columns: the `categories` are read as words."""

    target: Any
    ignore: Sequence[str]
    categories: Sequence[str]
    split_by: str | None
    time: str | None

    def __post_init__(self) -> None:
        target = self.target
        listed = self._listed
        if target == [] or any(isinstance(name, (dict, list)) or name is None for name in listed):
            raise ValueError(f"target={target} must be the name of a column, or a list of them")
        if len({*map(str, listed)}) < len(listed):
            raise ValueError(f"target={target} must name each column once")

    @property
    def words(self) -> set[str]:
        """The columns that are read as they are written."""
        return {*self.categories, *([] if self.split_by is None else [self.split_by])}

    def targets(self, table: Table) -> list[Column]:
        """Return the columns to predict: those named, or the last.

        Raises ConfigError where a setting names a column that there is not.
        """
        names = [*map(str, self._listed)] or [table.names[-1]]
        named = {"target": names, "ignore": self.ignore, "categories": self.categories}
        named |= {"split_by": _few(self.split_by), "time": _few(self.time)}
        for key, name in ((key, name) for key, names in named.items() for name in names):
            if name not in table.names:
                told = f"dataset.{key}={name}: {table.path} has no such column"
                raise ConfigError(f"{told}; {options(name, table.names)}")
        return [self._read(table, name) for name in names]

    def inputs(self, table: Table, targets: Sequence[Column]) -> list[Column]:
        """Return all other columns that are not to be ignored; groups are words, if any."""
        aside = {*self.ignore, *({*_few(self.split_by)} - {*self.categories})}
        aside |= {column.name for column in targets}
        return [self._read(table, name) for name in table.names if name not in aside]

    def group(self, table: Table) -> Column | None:
        """Return the column whose groups stay whole."""
        return None if self.split_by is None else self._read(table, self.split_by)

    def order(self, table: Table) -> Column | None:
        """Return the column whose order divides the rows; raise DataError where it has none."""
        column = None if self.time is None else self._read(table, self.time)
        if column is not None and column.kind is Kind.words:
            raise DataError(
                f"{table.path}: dataset.time={self.time} needs numbers or dates, found words; "
                "dataset.date_format says how dates are written, as %d.%m.%Y."
            )
        return column

    @property
    def _listed(self) -> list[Any]:
        return self.target if isinstance(self.target, list) else _few(self.target)

    def _read(self, table: Table, name: str) -> Column:
        return _columns.read(table, name, words=name in self.words)


def _few(name: Any) -> list[Any]:
    return [] if name is None else [name]
