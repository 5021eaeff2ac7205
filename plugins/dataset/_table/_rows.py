"""The rows of all files of a table: their inputs, targets, groups and times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments import DataError
from plugins.dataset._table import _files, _imputation, _inputs, _notes
from plugins.dataset._table._column import Column
from plugins.dataset._table._imputation import Missing
from plugins.dataset._table._roles import Roles
from plugins.dataset._table._table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Columns of N rows each; `files` [N] is 1 and 2 for those of the files for val and test.

    `group` and `order` are the columns that the main file's rows, 0 in `files`, are divided by.
    """

    source: str
    files: Any
    inputs: Sequence[Column]
    targets: Sequence[Column]
    group: Column | None
    order: Column | None
    paths: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def read(table: Table, roles: Roles, paths: Mapping[str, str | None]) -> Rows:
    """Return the rows of the main table, and of the files that splits have at `paths`."""
    source, targets = str(table.path), roles.targets(table)
    if len(table.frame) < 2:
        raise DataError(f"{source}: expected at least 2 rows, found 1.")
    inputs, notes, warnings = _inputs.select(source, roles.inputs(table, targets))
    tables = _files.read(paths, table, [*inputs, *targets])
    files, below = _files.numbered(len(table.frame), tables), [*tables.values()]
    inputs = [_files.joined(column, below) for column in inputs]
    group, order = (
        column and _files.padded(column, len(files))
        for column in (roles.group(table), roles.order(table))
    )
    return Rows(
        source=source,
        files=files,
        inputs=inputs,
        targets=[_files.joined(column, below, target=True) for column in targets],
        group=group,
        order=order,
        paths=tuple(str(one.path) for one in below),
        notes=(str(table), *map(str, below), *notes, *_notes.divided(group, order, inputs)),
        warnings=(*warnings, *_files.unknown(inputs)),
    )


def complete(rows: Rows, missing: Missing) -> Rows:
    """Return the rows that may have missing cells as `missing` says, in their inputs alone."""
    others = [*rows.targets, *(column for column in (rows.group, rows.order) if column)]
    keep = _imputation.present(rows.source, rows.inputs, others, missing)
    if keep.all():
        return rows

    def kept(column: Column) -> Column:
        return replace(column, values=column.values[keep])

    return replace(
        rows,
        files=rows.files[keep],
        inputs=[*map(kept, rows.inputs)],
        targets=[*map(kept, rows.targets)],
        group=rows.group and kept(rows.group),
        order=rows.order and kept(rows.order),
        notes=(*rows.notes, f"{int((~keep).sum())} rows with missing cells are dropped."),
    )
