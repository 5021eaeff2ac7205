"""The tables: their alignment, and what they say of tensors."""

import pytest
import torch

from experiments.report.tables import markdown_table, tensor_table, text_table

HEADER = ["run", "val/accuracy", "note"]
ROWS = [["adam", "0.97", ""], ["momentum", "-", "a|b"], ["sgd", "1e-05", "two\nlines"]]


def test_text_is_aligned_by_column_with_numbers_to_the_right() -> None:
    assert text_table(HEADER, ROWS).splitlines() == [
        "run       val/accuracy  note",
        "--------  ------------  ---------",
        "adam              0.97",
        "momentum             -  a|b",
        "sgd              1e-05  two lines",
    ]


def test_markdown_escapes_bars_and_keeps_a_row_on_a_line() -> None:
    assert markdown_table(HEADER, ROWS).splitlines() == [
        "| run | val/accuracy | note |",
        "| --- | ---: | --- |",
        "| adam | 0.97 |  |",
        r"| momentum | - | a\|b |",
        "| sgd | 1e-05 | two lines |",
    ]


@pytest.mark.parametrize("cell", ["0", "-1.5", "+3", "1,234", "1.", "2e10", "nan", "-inf", "97.5%"])
@pytest.mark.parametrize("unit", ["", " KiB", " B"])
def test_a_number_is_aligned_to_the_right(cell: str, unit: str) -> None:
    cell = cell if cell.endswith("%") else cell + unit
    assert text_table(["a long title"], [[cell]]).splitlines()[-1] == cell.rjust(12)


@pytest.mark.parametrize("cell", ["3d", "v1", "1-2", "[3, 4]", "-", "0x10", "infinite"])
def test_anything_else_is_aligned_to_the_left(cell: str) -> None:
    assert text_table(["a long title"], [[cell]]).splitlines()[-1] == cell


def test_a_table_may_have_no_rows() -> None:
    assert text_table(["a", "bc"], []) == "a  bc\n-  --"
    assert markdown_table(["a", "bc"], []) == "| a | bc |\n| --- | --- |"


@pytest.mark.parametrize("table", [text_table, markdown_table])
def test_a_row_of_another_length_is_refused(table: type) -> None:
    with pytest.raises(ValueError, match="zip"):
        table(["a", "b"], [["1"]])


def test_tensors_are_told_by_size_type_place_and_memory() -> None:
    tensors = {
        "batch of inputs": torch.zeros(64, 1, 8, 8),
        "targets": torch.zeros(64, dtype=torch.long),
        "loss": torch.tensor(0.5, dtype=torch.float64),
        "images": torch.zeros(1, dtype=torch.uint8).expand(60_000, 28, 28),
        "nothing": torch.zeros(0, 3, dtype=torch.bfloat16),
    }
    assert tensor_table(tensors).splitlines() == [
        "tensor           size             rank  dtype     device    memory",
        "---------------  ---------------  ----  --------  ------  --------",
        "batch of inputs  [64, 1, 8, 8]       4  float32   cpu     16.0 KiB",
        "targets          [64]                1  int64     cpu        512 B",
        "loss             []                  0  float64   cpu          8 B",
        "images           [60000, 28, 28]     3  uint8     cpu     44.9 MiB",
        "nothing          [0, 3]              2  bfloat16  cpu          0 B",
    ]
