"""Rows as aligned plain text, for the terminal, and as Markdown, for MLflow's pages."""

import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

_NUMBER = re.compile(r"[-+]?(\d[\d,]*\.?\d*(e[-+]?\d+)?|nan|inf)( ?(%|[KMGT]iB|B))?")
_MISSING = ("", "-")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows under their header, aligned by column: numbers to the right."""
    columns = list(_columns(header, rows))
    widths = [max(map(len, cells)) for cells, _ in columns]
    padded = [
        [cell.rjust(width) if right else cell.ljust(width) for cell in cells]
        for (cells, right), width in zip(columns, widths, strict=True)
    ]
    head, *body = ("  ".join(line).rstrip() for line in zip(*padded, strict=True))
    return "\n".join([head, "  ".join("-" * width for width in widths), *body])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a Markdown table, numbers to the right."""
    columns = list(_columns(header, rows))
    cells = [[cell.replace("|", r"\|") for cell in column] for column, _ in columns]
    head, *body = zip(*cells, strict=True)
    rule = ["---:" if right else "---" for _, right in columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def tensor_table(tensors: Mapping[str, Tensor]) -> str:
    """Return what each named tensor is and how much memory its elements take, as plain text."""
    header = ["tensor", "size", "rank", "dtype", "device", "memory"]
    rows = []
    for name, tensor in tensors.items():
        dtype, size = str(tensor.dtype).removeprefix("torch."), list(tensor.shape)
        facts = (name, size, tensor.dim(), dtype, tensor.device, _memory(tensor.nbytes))
        rows.append([str(fact) for fact in facts])
    return text_table(header, rows)


def _memory(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}" if unit != "B" else f"{size} B"
        size /= 1024
    return f"{size:.1f} TiB"


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[tuple[list[str], bool]]:
    """Give each column's cells, header first and each on one line, and whether it is numeric."""
    for title, *cells in zip(header, *rows, strict=True):
        lines = [" ".join(cell.split()) for cell in cells]
        present = [line for line in lines if line not in _MISSING]
        right = bool(present) and all(_NUMBER.fullmatch(line) for line in present)
        yield [title, *lines], right
