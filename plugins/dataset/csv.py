import dataclasses
from dataclasses import field
from typing import Any

from experiments import Splits, Task, register
from plugins.dataset import _drawn, _paths, _task, _tensors
from plugins.dataset._table import (
    _dialect,
    _division,
    _imputation,
    _inputs,
    _roles,
    _rows,
    _table,
    _target,
)


@register("csv")
class CSV(_drawn.Drawn):
    """A table of your own: csv or other delimited text, packed or not, or parquet.

    Numbers, truth values and dates are an input each, words one for each different word. What the
    settings leave open is found in the file, and told.
    """

    path: str
    val_path: str | None = None  # a file of its own for a split, which is then not drawn
    test_path: str | None = None
    # the column to predict, or a list of them; null: the last
    target: Any = field(default=None, metadata={"texts": True})
    task: Task | None = None
    scale_target: bool = True  # learn a regression's targets less their mean, by their deviation
    ignore: list[str] = field(default_factory=list)  # columns to leave out
    categories: list[str] = field(default_factory=list)  # columns to read as words
    missing: _imputation.Missing = _imputation.Missing.error
    na_values: list[str] = field(default_factory=list)  # more texts for a missing cell
    keep_default_na: bool = True
    delimiter: str = _dialect.AUTO
    encoding: str = _dialect.AUTO
    header: bool | None = None  # whether the first line has the names
    decimal: str = _dialect.AUTO
    thousands: str = _dialect.AUTO
    date_format: str | None = None
    split: _division.Split | None = None  # null: stratified for classes, else random
    split_by: str | None = None  # the column whose groups stay whole
    time: str | None = None  # the column in whose order split=time divides

    def __post_init__(self) -> None:
        self._roles()
        self._asked()
        self._division()

    def load(self) -> Splits:
        _task.check(self.task)
        roles = self._roles()
        table = _table.read(_paths.locate(self.path), self._asked(), roles.words)
        rows = _rows.read(table, roles, {"val": self.val_path, "test": self.test_path})
        rows = _rows.complete(rows, self.missing)
        target = _target.decide(rows.source, rows.targets, self.task)
        parts = self._division().parts(rows, target)
        inputs, notes = _imputation.filled(rows.source, rows.inputs, parts[0].numpy(), self.missing)
        return _tensors.parted(
            _inputs.tensors(inputs, parts),
            target.values,
            parts,
            classes=target.classes,
            names=[column.name for column in rows.targets] if len(rows.targets) > 1 else (),
            scale_target=self.scale_target and not target.classes,
            source=rows.source,
            files=rows.paths,
            reason=target.reason,
            notes=(*rows.notes, *notes),
            warnings=rows.warnings,
        )

    def _asked(self) -> _dialect.Asked:
        texts = (*self.na_values, *(_imputation.TEXTS if self.keep_default_na else ()))
        return _dialect.asked(
            encoding=self.encoding,
            delimiter=self.delimiter,
            header=self.header,
            decimal=self.decimal,
            thousands=self.thousands,
            date_format=self.date_format,
            na_values=("", *texts),
        )

    def _roles(self) -> _roles.Roles:
        return _roles.Roles(**self._fields(_roles.Roles))

    def _division(self) -> _division.Division:
        return _division.Division(**self._fields(_division.Division))

    def _fields(self, settings: type[Any]) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(settings)}
