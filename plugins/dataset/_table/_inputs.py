"""Which columns of a table are inputs, and the numbers that they become."""

from collections.abc import Sequence

import torch
from torch import Tensor

from experiments import DataError
from plugins.dataset import _tensors
from plugins.dataset._table import _notes, _text
from plugins.dataset._table._column import Column, Kind

MOST_WORDS = 100  # different ones in a column that becomes one input a word
_BLOCK = 2**12  # rows
_FEW = 2**14  # rows, which mostly tell what all would
_ROWS = 10  # from so many on, different words in all of them are an identifier


def select(source: str, columns: Sequence[Column]) -> tuple[list[Column], list[str], list[str]]:
    """Return the columns that can be inputs, notes on those left out, and warnings.

    Raises DataError where none is left, or a column has too many different words.
    """
    index = [column.name for column in columns if _is_index(column)]
    constant = [column.name for column in columns if _is_constant(column)]
    names = [column.name for column in columns if column.kind is Kind.words and _differ(column)]
    kept = [c for c in columns if c.name not in {*index, *constant, *names}]
    many = [f"'{c.name}' ({len(c.words)})" for c in kept if len(c.words) > MOST_WORDS]
    if many:
        raise DataError(
            f"{source}: expected at most {MOST_WORDS} different words in a column, found more in "
            f"{', '.join(many)}; leave them out by dataset.ignore=[...]."
        )
    if not kept:
        left = "".join(
            f" {note}" for note in [*_notes.left_out(index, constant), *_notes.words(names)]
        )
        raise DataError(f"{source}: expected columns beside the target, found none.{left}")
    notes = [*_notes.left_out(index, constant), *_notes.read_as(kept)]
    numbers = [c.name for c in kept if _counts_rows(c)]
    return kept, [*notes, *_notes.numbers(numbers)], [*_notes.words(names), *_notes.orders(kept)]


def tensors(columns: Sequence[Column], parts: Sequence[Tensor]) -> list[Tensor]:
    """Return the inputs [N, F] of each part's rows, one for each column, or for each word of one.

    They are float32, or float64 where that would lose what matters of a column.
    """
    values = [
        column.values == place if column.words else column.values
        for column in columns
        for place in range(len(column.words) or 1)
    ]
    dtype = _tensors.dtype_for(*(column.values for column in columns if not column.words))
    inputs = [torch.empty(len(part), len(values), dtype=dtype) for part in parts]
    for part, own in zip(parts, inputs, strict=True):
        # Block by block: a row's numbers are written while they are in the processor's cache.
        for rows, block in zip(part.split(_BLOCK), own.split(_BLOCK), strict=True):
            for place, cells in enumerate(values):
                block.numpy()[:, place] = cells[rows.numpy()]
    return inputs


def _is_index(column: Column) -> bool:
    """Say whether an unnamed column numbers the rows, as pandas and R write it."""
    unnamed = column.name.startswith((_text.UNNAMED, "__index_level_"))
    return (
        unnamed
        and column.kind is Kind.numbers
        and bool((column.values[1:] - column.values[:-1] == 1).all())
    )


def _is_constant(column: Column) -> bool:
    few = column.values[:_FEW]
    if (few != few[0]).any() and not column.missing[:_FEW].any():
        return False
    known = column.values[~column.missing]
    return not len(known) or bool((known == known[0]).all())


def _differ(column: Column) -> bool:
    rows = len(column.values)
    return rows >= _ROWS and len(column.words) == rows


def _counts_rows(column: Column) -> bool:
    import numpy as np

    values = column.values
    return (
        column.kind is Kind.numbers
        and len(values) >= _ROWS
        and all(
            bool((part == part.round()).all()) and len(np.unique(part)) == len(part)
            for part in (values[:_FEW], values)
        )
    )
