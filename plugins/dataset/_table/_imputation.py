"""What becomes of a table's missing cells."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from experiments import DataError
from plugins.dataset._table._column import Column, Kind


class Missing(Enum):
    """What to do with missing cells; a row whose target is missing can only be dropped."""

    error = "error"
    mean = "mean"
    median = "median"
    drop = "drop"
    indicator = "indicator"


# What stands for a missing cell, beside none.
TEXTS = ("NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "?", "-")
WORD = "missing"  # what a missing word becomes


def present(
    source: str, inputs: Sequence[Column], others: Sequence[Column], missing: Missing
) -> Any:
    """Return which rows [N] to keep, as booleans.

    Raises DataError, with every column and its count, where a cell may not be missing: `others`
    than `inputs` are needed in each row.
    """
    import numpy as np

    columns = [*inputs, *others] if missing in {Missing.error, Missing.drop} else others
    counts = {column.name: int(column.missing.sum()) for column in columns}
    if missing is Missing.drop:
        keep = ~np.any([column.missing for column in columns], axis=0)
        if not keep.any():
            raise DataError(f"{source}: no row is complete, so that dataset.missing=drop has none.")
        return keep
    if any(counts.values()):
        rows = len(columns[0].values)
        told = ", ".join(f"'{name}' ({n} of {rows})" for name, n in counts.items() if n)
        needed = [column.name for column in others if counts[column.name]]
        ways = f"drop, as each row needs '{needed[0]}'" if needed else "mean|median|indicator|drop"
        raise DataError(
            f"{source}: cells are missing in {told}; set dataset.missing={ways}, or leave columns "
            "out by dataset.ignore=[...]."
        )
    return np.ones(len(others[0].values), dtype=bool)


def filled(
    source: str, columns: Sequence[Column], train: Any, missing: Missing
) -> tuple[list[Column], list[str]]:
    """Return columns without missing cells, and what was made of them.

    Each gets its own mean or median of the `train` rows. Missing words become a word of their own;
    with `indicator` each other column is followed by one that is 1 where a cell was missing.
    """
    import numpy as np

    found: list[Column] = []
    lacking: list[str] = []
    for column in columns:
        lacks = column.missing
        if not lacks.any():
            found.append(column)
            continue
        lacking.append(f"{column.name} ({lacks.sum()})")
        if column.kind is Kind.words:
            values = np.where(lacks, len(column.words), column.values)
            found.append(replace(column, values=values, words=(*column.words, WORD)))
        else:
            known = column.values[train][~lacks[train]]
            if not len(known):
                raise DataError(
                    f"{source}: column '{column.name}' has no value in the train split; leave it "
                    "out by dataset.ignore=[...]."
                )
            value = np.median(known) if missing is Missing.median else known.mean()
            found.append(replace(column, values=np.where(lacks, value, column.values)))
            if missing is Missing.indicator:
                name = f"{column.name} is missing"
                found.append(Column(name, Kind.booleans, lacks.astype(float)))
    how = "median" if missing is Missing.median else "mean"
    made = f"Missing cells are the {how} of the train split, missing words a word of their own"
    return found, [f"{made}: {', '.join(lacking)}."] if lacking else []
