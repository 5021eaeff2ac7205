"""What is told of a table's columns."""

from collections.abc import Iterator, Sequence

from plugins.dataset._table._column import Column, Kind


def left_out(index: Sequence[str], constant: Sequence[str]) -> Iterator[str]:
    """Yield which columns are no inputs, and why."""
    if index:
        yield f"Left out, as it numbers the rows: {', '.join(index)}."
    if constant:
        yield f"Left out, as it has one value: {', '.join(constant)}."


def read_as(columns: Sequence[Column]) -> Iterator[str]:
    """Yield what was made of columns that are not numbers as they stand."""
    for how in sorted({c.how for c in columns if c.kind is Kind.numbers} - {""}):
        same = [c.name for c in columns if c.how == how]
        yield f"Read with {how}: {', '.join(same)}; dataset.decimal and thousands say otherwise."
    for how in sorted({c.how for c in columns if c.kind is Kind.dates}):
        same = [c.name for c in columns if c.kind is Kind.dates and c.how == how]
        form = f" ({how})" if how else ""
        yield f"Dates{form} as days since the first in the file: {', '.join(same)}."
    if truth := [c.name for c in columns if c.kind is Kind.booleans]:
        yield f"True and false as 1 and 0: {', '.join(truth)}."
    if words := [f"{c.name} ({len(c.words)})" for c in columns if c.words]:
        yield f"One input for each different word: {', '.join(words)}."


def words(names: Sequence[str]) -> Iterator[str]:
    """Yield a warning for columns that have another word in each row."""
    if names:
        told = ", ".join(names)
        yield (
            f"Left out, as each row has another word, like an identifier: {told}; "
            f"dataset.ignore=[{told}] leaves it out without this warning."
        )


def orders(columns: Sequence[Column]) -> Iterator[str]:
    """Yield a warning for dates whose day and month could be the other way round."""
    for column in columns:
        if column.either:
            yield (
                f"Day and month of {column.name} could be the other way round: read as "
                f"{column.how}, unless dataset.date_format says otherwise."
            )


def numbers(names: Sequence[str]) -> Iterator[str]:
    """Yield what columns with another whole number in each row look like."""
    if names:
        told = ", ".join(names)
        yield (
            f"Each row has another whole number, which looks like an identifier: {told}; "
            f"dataset.ignore=[{told}] leaves it out."
        )


def divided(group: Column | None, order: Column | None, inputs: Sequence[Column]) -> Iterator[str]:
    """Yield which columns the rows are divided by."""
    if group is not None:
        role = "an input" if group.name in {column.name for column in inputs} else "no input"
        yield f"Each split has whole groups of {group.name}, which is {role}."
    if order is not None:
        yield f"Train has the first rows by {order.name}, then comes val, then test."
