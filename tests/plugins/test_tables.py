"""Tables of one's own: what is found in a file, what is told, and what is refused."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import ConfigError, DataError, Splits, Task, plugins
from plugins.dataset._table._division import Split
from plugins.dataset._table._imputation import Missing

in_one_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def load(path: Path, **settings: Any) -> Splits:
    loaded = plugins("dataset")["csv"](path=str(path), **settings).load()  # type: ignore[attr-defined]
    assert isinstance(loaded, Splits)
    return loaded


def tensors(splits: Splits) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs and targets of all splits together."""
    parts = [part.tensors for part in (splits.train, splits.val, splits.test)]  # type: ignore[attr-defined]
    inputs, targets = zip(*parts, strict=True)
    return torch.cat(inputs), torch.cat(targets)


def rows(splits: Splits) -> list[tuple[float, ...]]:
    """Return every row of inputs and target, sorted, for a comparison that forgets the splits."""
    inputs, targets = (part.double() for part in tensors(splits))
    return sorted(map(tuple, torch.cat([inputs, targets.reshape(len(inputs), -1)], 1).tolist()))


def write(folder: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


LINE = "\n".join(["x,y", *(f"{k / 4},{k * 3 + 0.5}" for k in range(40))])
WANTED = [(k / 4, k * 3 + 0.5) for k in range(40)]


def number(value: float, decimal: str, thousands: str) -> str:
    """Write a number with two decimals and these marks."""
    text = f"{value:,.2f}"
    return text.translate({ord(","): thousands, ord("."): decimal})


@in_one_folder
@given(
    values=st.lists(
        st.floats(-1e6, 1e6), min_size=12, max_size=30, unique_by=lambda v: round(v, 2)
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1"]),
    marks=st.sampled_from([(".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'")]),
    header=st.booleans(),
    quoted=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_what_is_read(
    tmp_path: Path,
    values: list[float],
    delimiter: str,
    encoding: str,
    marks: tuple[str, str],
    header: bool,
    quoted: bool,
    newline: str,
) -> None:
    # Without a decimal, 1,234 can be either.
    kept = [round(value, 2) + 0.0 for value in values]
    lines = ["größe;x;kind".replace(";", delimiter)] if header else []
    for place, value in enumerate(kept):
        cells = [number(value, *marks), f"{place}", "même" if place % 2 else "nein, nie"]
        quotes = [quoted or delimiter in cell for cell in cells]
        lines.append(
            delimiter.join(f'"{c}"' if q else c for c, q in zip(cells, quotes, strict=True))
        )
    path = write(tmp_path, newline.join(lines), encoding=encoding)
    splits = load(path)
    assert splits.spec.classes == ("même", "nein, nie")
    expected = sorted((value, float(k), float(k % 2 == 0)) for k, value in enumerate(kept))
    np.testing.assert_allclose(rows(splits), expected, rtol=1e-6)
    assert str(path) in splits.notes[0]


def test_flowers_without_names_are_all_read(tmp_path: Path) -> None:
    flowers = [f"{5 + k / 10},{3 + k / 20},Iris-{'abc'[k // 50]}" for k in range(150)]
    splits = load(write(tmp_path, "\n".join(flowers), "iris.data"))
    assert len(tensors(splits)[0]) == 150
    assert splits.spec.classes == ("Iris-a", "Iris-b", "Iris-c")
    assert "no line of names" in splits.notes[0]
    assert len(tensors(load(write(tmp_path, "\n".join(flowers)), header=True))[0]) == 149


def test_decimal_commas_are_a_regression(tmp_path: Path) -> None:
    lines = [f"{k / 4:.2f};{1 + k / 2:.2f}".replace(".", ",") for k in range(80)]
    splits = load(write(tmp_path, "\n".join(["x;y", *lines])))
    assert splits.spec.task is Task.regression
    assert rows(splits) == [(k / 4, 1 + k / 2) for k in range(80)]


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", data)
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_packed_tables_are_unpacked(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(pack(LINE.encode()))
    assert rows(load(path)) == WANTED
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.csv: expected a table"):
        load(path)


def test_a_packed_table_may_not_unpack_to_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["plugins.dataset._table._packed"], "LARGEST", 2**12)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x,y\n" + b"1,2\n" * 2**12))
    with pytest.raises(DataError, match="at most 4096 bytes, unpacked"):
        load(path)


def test_parquet_is_read_as_the_same_table_in_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=30),
            "kind": ["a", "b", "c"] * 10,
            "good": [True, False] * 15,
            "x": np.arange(30) / 7,
            "y": np.arange(30) * 1.5 + 0.25,
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    found, text = load(tmp_path / "a.parquet"), load(tmp_path / "a.csv")
    np.testing.assert_allclose(rows(found), rows(text), rtol=1e-6)
    assert found.spec.input_shape == (6,)
    assert any("days since the first in the file: day" in note for note in text.notes)
    assert any("True and false as 1 and 0: good" in note for note in text.notes)
    write(tmp_path, LINE, "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: expected a parquet file"):
        load(tmp_path / "b.parquet")


def test_blanks_divide_cells_and_quotes_keep_text_whole(tmp_path: Path) -> None:
    assert rows(load(write(tmp_path, LINE.replace(",", "  ")))) == WANTED
    lines = [f'{k}.5, "a, ""{k % 2}"" b", {k}.25' for k in range(30)]
    splits = load(write(tmp_path, "\n".join(["x, text, y", *lines])))
    assert splits.spec.input_shape == (3,)
    assert any("text (2)" in note for note in splits.notes)


def test_the_index_of_pandas_and_constant_columns_are_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"x": np.arange(40) / 4, "same": 3, "none": np.nan, "y": np.arange(40) / 3}
    )
    frame.to_csv(tmp_path / "a.csv")
    splits = load(tmp_path / "a.csv")
    assert splits.spec.input_shape == (1,)
    told = " ".join(splits.notes)
    assert "numbers the rows: Unnamed: 0" in told
    assert "has one value: same, none" in told


def test_identifiers_are_told(tmp_path: Path) -> None:
    lines = [f"{1000 + k},user{k},{k % 7},{k % 2}" for k in range(60)]
    splits = load(write(tmp_path, "\n".join(["id,name,x,y", *lines])))
    assert splits.spec.input_shape == (2,)
    assert "like an identifier: name" in splits.warnings[0]
    assert "looks like an identifier: id" in splits.notes[1]


@pytest.mark.parametrize("written", ["", "NA", "N/A", "NaN", "nan", "null", "?", "-", " "])
@pytest.mark.parametrize("decimal", [".", ","])
def test_missing_cells_are_all_listed(written: str, decimal: str, tmp_path: Path) -> None:
    cells = [(written if k % 5 == 0 else f"{k}{decimal}5", "ab"[k % 2]) for k in range(40)]
    lines = [
        f"{x};{word if k % 8 else written};{k}{decimal}25" for k, (x, word) in enumerate(cells)
    ]
    path = write(tmp_path, "\n".join(["x;word;y", *lines]))
    with pytest.raises(DataError, match=r"'x' \(8 of 40\), 'word' \(5 of 40\).*dataset\.missing="):
        load(path)
    splits = load(path, missing=Missing.mean)
    train = splits.train.tensors[0].double()  # type: ignore[attr-defined]
    assert splits.spec.input_shape == (4,)
    known = train[(train[:, 0] % 1 == 0.5), 0]
    value = {round(v, 3) for v in tensors(splits)[0][:, 0].tolist() if v % 1 != 0.5}
    assert not value or value == {round(known.mean().item(), 3)}


def test_each_way_to_go_on_without_cells(tmp_path: Path) -> None:
    lines = [f"{'' if k % 4 == 0 else k * k},{k},{k + 0.5}" for k in range(80)]
    path = write(tmp_path, "\n".join(["x,z,y", *lines]))
    dropped = load(path, missing=Missing.drop)
    assert len(tensors(dropped)[0]) == 60
    assert "20 rows with missing cells are dropped." in dropped.notes
    marked = load(path, missing=Missing.indicator)
    inputs, targets = tensors(marked)
    assert inputs[:, 1].equal(((targets - 0.5) % 4 == 0).float())
    middle = load(path, missing=Missing.median)
    train = middle.train.tensors  # type: ignore[attr-defined]
    known = (train[1] - 0.5) % 4 != 0
    assert torch.all(train[0][~known, 0] == np.median(train[0][known, 0]))


def test_a_missing_target_is_dropped_or_an_error(tmp_path: Path) -> None:
    path = write(
        tmp_path, "\n".join(["x,y", *(f"{k},{'' if k == 3 else k / 2}" for k in range(40))])
    )
    for missing in set(Missing) - {Missing.drop}:
        with pytest.raises(
            DataError, match=r"'y' \(1 of 40\).*missing=drop, as each row needs 'y'"
        ):
            load(path, missing=missing)
    assert len(tensors(load(path, missing=Missing.drop))[0]) == 39


# The last is in another block than the first.
@pytest.mark.parametrize("row", [1, 10_000, pytest.param(300_000, marks=pytest.mark.whole)])
def test_text_among_numbers_is_named_by_line_and_column(row: int, tmp_path: Path) -> None:
    lines = [f"{'abc' if k == row else k / 2},{k / 3}" for k in range(1, row + 11)]
    path = write(tmp_path, "\n".join(["size,y", *lines]))
    told = (
        rf"a\.csv, line {row + 1}, column 'size': expected a number, found 'abc'; dataset\.na_val"
    )
    with pytest.raises(DataError, match=told):
        load(path)
    assert len(tensors(load(path, na_values=["abc"], missing=Missing.drop))[0]) == row + 9


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([k % 26 for k in range(520)], Task.classification),
        ([k // 12 for k in range(312)], Task.classification),
        ([k % 2 for k in range(12)], Task.classification),
        ([2 * (k % 2) - 1 for k in range(12)], Task.classification),
        ([k % 20 for k in range(40)], Task.regression),
        ([1900 + k % 60 for k in range(600)], Task.regression),
        ([50_000 + 3_500 * k for k in range(200)], Task.regression),
        ([k % 3 + 0.5 for k in range(60)], Task.regression),
    ],
)
def test_whole_numbers_that_are_few_are_classes(
    values: list[float], task: Task, tmp_path: Path
) -> None:
    lines = [f"{k / 7},{value}" for k, value in enumerate(values)]
    path = write(tmp_path, "\n".join(["x,y", *lines]))
    splits = load(path)
    assert splits.spec.task is task
    other = next(one for one in Task if one is not task)
    assert f"dataset.task={other.name}" in splits.reason
    assert load(path, task=other).spec.task is other


def test_seconds_apart_stay_apart(tmp_path: Path) -> None:
    start = 1_700_000_000
    lines = [f"{start + k},{k % 9}.5" for k in range(1000)]
    splits = load(write(tmp_path, "\n".join(["time,y", *lines])))
    inputs, _ = tensors(splits)
    normal = (inputs - splits.spec.mean) / splits.spec.std
    assert len(normal.float().unique()) == 1000
    assert load(write(tmp_path, LINE)).train.tensors[0].dtype == torch.float32  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("form", "told"),
    [("%Y-%m-%d", "ISO8601"), ("%d.%m.%Y", "%d.%m.%Y"), ("%Y-%m-%d %H:%M:%S", "ISO")],
)
def test_dates_are_days_since_the_first(form: str, told: str, tmp_path: Path) -> None:
    days = pd.date_range("2023-12-20", periods=40)
    lines = [f"{day.strftime(form)},{k}.5" for k, day in enumerate(days)]
    splits = load(write(tmp_path, "\n".join(["day,y", *lines])))
    assert rows(splits) == [(float(k), k + 0.5) for k in range(40)]
    assert any(told in note for note in splits.notes)


def test_targets_are_scaled_by_the_train_split_unless_not_asked(tmp_path: Path) -> None:
    lines = [f"{k / 2},{50_000 + 3_500.5 * k}" for k in range(200)]
    path = write(tmp_path, "\n".join(["x,price", *lines]))
    spec, targets = load(path).spec, load(path).train.tensors[1].double()  # type: ignore[attr-defined]
    assert float(spec.target_mean) == pytest.approx(targets.mean().item())
    assert float(spec.target_std) == pytest.approx(targets.std(correction=0).item())
    plain = load(path, scale_target=False).spec
    assert (plain.target_mean, plain.target_std) == (0, 1)


def test_several_targets_are_a_regression(tmp_path: Path) -> None:
    lines = [f"{k / 2},{k + 0.5},{k % 3},{'ab'[k % 2]}" for k in range(60)]
    path = write(tmp_path, "\n".join(["x,y,z,word", *lines]))
    splits = load(path, target=["y", "z"])
    assert splits.spec.targets == ("y", "z")
    assert splits.spec.outputs == 2
    assert splits.train.tensors[1].shape == (42, 2)  # type: ignore[attr-defined]
    assert splits.spec.target_mean.shape == (2,)  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="several targets are a regression"):
        load(path, target=["y", "word"])
    for wrong in ([], ["y", "y"], [["y"]], {"y": 1}):
        with pytest.raises(ValueError, match="target="):
            load(path, target=wrong)


def groups(part: Any) -> set[float]:
    return set((part.tensors[0][:, 0] // 10).tolist())


def test_groups_and_times_divide_rows(tmp_path: Path) -> None:
    lines = [f"{k},p{k // 10},{'ab'[k // 10 % 2]}" for k in range(200)]
    path = write(tmp_path, "\n".join(["x,patient,y", *lines]))
    splits = load(path, split_by="patient")
    sides = [groups(part) for part in (splits.train, splits.val, splits.test)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20
    assert splits.spec.input_shape == (1,)
    assert "Each split has whole groups of patient, which is no input." in splits.notes
    assert load(path, split_by="patient", categories=["patient"]).spec.input_shape == (21,)
    splits = load(path, split=Split.time, time="x")
    ends = [part.tensors[0][:, 0] for part in (splits.train, splits.val, splits.test)]  # type: ignore[attr-defined]
    assert ends[0].max() < ends[1].min() <= ends[1].max() < ends[2].min()
    vals = [load(path, folds=4, fold=k, split_by="patient").val for k in range(4)]
    assert sum(len(groups(val)) for val in vals) == len(set.union(*map(groups, vals))) == 18
    with pytest.raises(ConfigError, match="needs classes"):
        load(path, split=Split.stratified, target="x", task=Task.regression)


def test_val_and_test_may_have_files_of_their_own(tmp_path: Path) -> None:
    head = "x,word,y"
    lines = [f"{k / 4},{'ab'[k % 2]},{['no', 'yes'][k % 2]}" for k in range(40)]
    main = write(tmp_path, "\n".join([head, *lines]))
    other = write(tmp_path, "\n".join(["y;word;x", "yes;c;7,25", "no;a;-1,5"]), "b.csv")
    splits = load(main, val_path=str(other))
    assert splits.val.tensors[0].tolist() == [[7.25, 0, 0], [-1.5, 1, 0]]  # type: ignore[attr-defined]
    assert splits.val.tensors[1].tolist() == [1, 0]  # type: ignore[attr-defined]
    assert splits.files == (str(other),)
    assert "word (1)" in splits.warnings[0]
    assert sum(len(part) for part in (splits.train, splits.test)) == 40  # type: ignore[arg-type]
    write(tmp_path, f"{head}\n1,a,perhaps\n", "b.csv")
    with pytest.raises(DataError, match=r"b\.csv, line 2, column 'y': expected a class"):
        load(main, test_path=str(other))
    write(tmp_path, "x,wort,y\n1,a,no\n", "b.csv")
    with pytest.raises(DataError, match=r"b\.csv: expected column 'word'.*did you mean 'wort'"):
        load(main, test_path=str(other))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "an empty file"),
        ("\n\n", "an empty file"),
        ("x,y\n", "rows below the line of names"),
        ("x,y\n1,2\n", "found 1"),
        ("x,y\n" + "1,a\n2,a\n3,a\n" * 5, "at least 2 values in 'y', found 1"),
        ("x,x,y\n" + "1,2,3\n" * 9, "more than one 'x'"),
        ("x,y\n" + "1,2\n2,3\n" * 300 + "4\n", "line 602: expected 2 cells"),
        ("x,y\n" + "1,2\n2,3\n" * 300 + "4,5,6\n", "line 602: expected 2 cells"),
        ("x,y\n" + "1,2\n2,3\n" * 300 + '4,"5\n', "expected"),
        ("only\n" + "1\n2\n" * 9, "expected columns beside the target"),
        ("same,y\n" + "7,2\n7,3\n", r"found none\. Left out, as it has one value: same"),
        ("x,y\n1,a\n2,b\n3,c\n", "expected classes of several items in 'y'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(
    text: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        load(write(tmp_path, text))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_in_other_scripts_work(tmp_path: Path) -> None:
    lines = [f"{k / 4},{'да' if k % 2 else 'нет'}" for k in range(40)]
    path = write(tmp_path, "\n".join(["高さ (cm),ответ", *lines]), "表.csv")
    assert load(path).spec.classes == ("да", "нет")
    assert load(path, target="高さ (cm)").spec.task is Task.regression


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"delimiter": "ab"}, "delimiter='ab' must be"),
        ({"decimal": ";"}, "decimal=';' must be"),
        ({"encoding": "utf-99"}, "encoding='utf-99' must be"),
        ({"split": Split.time}, "need each other"),
        ({"time": "x"}, "need each other"),
        ({"split": Split.time, "time": "x", "split_by": "y"}, "set one of them"),
        ({"folds": 3, "val_path": "b.csv"}, "set one of them"),
        ({"fold": 3}, "needs folds"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    wrong: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        load(tmp_path / "a.csv", **wrong)


def test_a_delimiter_at_the_end_of_each_line_is_no_column(tmp_path: Path) -> None:
    lines = "\n".join(f"{line}," for line in LINE.splitlines())
    assert rows(load(write(tmp_path, lines))) == WANTED


def test_other_files_are_read_as_the_main_one(tmp_path: Path) -> None:
    main, val = tmp_path / "main.csv", tmp_path / "val.csv"
    main.write_text(
        "day;x;y\n" + "".join(f"{n:02d}/03/2024;1.{n:03d},5;{n}\n" for n in range(1, 29))
    )
    val.write_text("day;x;y\n" + "".join(f"{n:02d}/03/2024;1.{n:03d};{n}\n" for n in range(1, 9)))
    splits = load(main, val_path=str(val), task=Task.regression)
    inputs = torch.stack([inputs for inputs, _ in splits.val])  # type: ignore[attr-defined]
    assert inputs[:, 0].tolist() == list(range(8))
    assert inputs[:, 1].tolist() == [1000.0 + n for n in range(1, 9)]


@pytest.mark.parametrize(("day", "warned"), [("{:02d}/03/2024", 12), ("{:02d}.03.2024", 0)])
def test_dates_that_can_be_read_in_two_ways_are_told(tmp_path: Path, day: str, warned: int) -> None:
    table = tmp_path / "days.csv"
    for last in (12, 20):
        rows = "".join(f"{day.format(n % last + 1)};{n}.5\n" for n in range(40))
        table.write_text(f"when;y\n{rows}")
        told = [text for text in load(table).warnings if "other way round" in text]
        assert len(told) == (last == warned)
