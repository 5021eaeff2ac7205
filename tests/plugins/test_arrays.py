"""Arrays of one's own script: what they are taken for, and what is refused."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file

from experiments import ConfigError, DataError, Splits, Task, lookup

Values = NDArray[Any]


def numbers(*shape: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=shape)


def labels(count: int, classes: int = 3) -> Values:
    return np.arange(count) % classes


def load(path: Path, **settings: Any) -> Splits:
    cls: Any = lookup("dataset", "arrays")
    if "channels" in settings:
        settings["channels"] = type(cls(path="").channels)[settings["channels"]]
    splits = cls(path=str(path), **settings).load()
    assert isinstance(splits, Splits)
    return splits


def saved(folder: Path, **arrays: Values) -> Path:
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return folder / "a.npz"


def tensors(splits: Splits) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs and targets of all splits."""
    inputs, targets = zip(
        *(part.tensors for part in (splits.train, splits.val, splits.test)),  # type: ignore[attr-defined]
        strict=True,
    )
    return torch.cat(inputs), torch.cat(targets)


def items(inputs: Any, targets: Any) -> list[list[float]]:
    """Return items as sorted rows, whatever order they came in."""
    flat = np.asarray(inputs, np.float32).reshape(len(targets), -1)
    return sorted(np.column_stack([flat, np.asarray(targets, np.float32)]).tolist())


KINDS = ["<f8", "<f4", ">f4", "<f2", "<i8", ">i2", "|u1", "|i1", "|b1", "<u2", "<u4", "<u8"]
SHAPES = [(), (1,), (4,), (5, 2), (6, 6), (3, 6, 6), (1, 5, 5), (2, 3, 2, 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arrays")


@given(
    st.sampled_from(SHAPES),
    st.sampled_from(KINDS),
    st.sampled_from(["C", "F"]),
    st.booleans(),
    st.booleans(),
)
def test_every_item_is_the_one_of_the_file(
    folder: Path, shape: tuple[int, ...], kind: str, order: Any, packed: bool, regression: bool
) -> None:
    inputs = (numbers(30, *shape) * 50).clip(0, 99).astype(kind).copy(order)
    targets = numbers(30) if regression else labels(30)
    (np.savez_compressed if packed else np.savez)(folder / "a.npz", x=inputs, y=targets)
    splits = load(folder / "a.npz")
    assert items(*tensors(splits)) == items(inputs, targets)
    assert splits.spec.task is (Task.regression if regression else Task.classification)
    normal = splits.train.tensors[0].double() - splits.spec.mean  # type: ignore[attr-defined]
    assert abs(normal.mean()) < 1e-4


@given(
    st.sampled_from(SHAPES),
    st.sampled_from(
        [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.uint8, torch.int64]
    ),
)
def test_tensors_of_safetensors_are_the_same(
    folder: Path, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    inputs = torch.from_numpy((numbers(30, *shape) * 50).clip(0, 99)).to(dtype)
    targets = torch.from_numpy(labels(30))
    save_file({"inputs": inputs, "targets": targets}, folder / "a.safetensors")
    assert items(*tensors(load(folder / "a.safetensors"))) == items(inputs.float(), targets)


NAMES = [
    ("inputs", "targets"),
    ("x", "y"),
    ("X", "y"),
    ("images", "labels"),
    ("data", "target"),
    ("features", "Y"),
]
FORMS = ["train_{}", "{}_train", "training_{}"]


@pytest.mark.parametrize(("inputs", "targets"), NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_splits_may_have_their_own_arrays(
    inputs: str, targets: str, form: str, tmp_path: Path
) -> None:
    parts = {"train": 40, "test": 20}
    arrays = {}
    for split, count in parts.items():
        for name, values in ((inputs, numbers(count, 4)), (targets, labels(count))):
            named = form.format(name).replace("training", "train").replace("train", split)
            arrays[named] = values
    splits = load(saved(tmp_path, **arrays))
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [34, 6, 20]  # type: ignore[arg-type]
    assert splits.test.tensors[0].numpy() == pytest.approx(numbers(20, 4), abs=1e-6)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("inputs", "targets"), NAMES)
def test_arrays_of_all_items_are_divided(inputs: str, targets: str, tmp_path: Path) -> None:
    splits = load(saved(tmp_path, **{inputs: numbers(40, 4), targets: labels(40)}))
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [28, 6, 6]  # type: ignore[arg-type]
    assert splits.notes == (f"train: inputs '{inputs}', targets '{targets}'",)


def test_names_are_a_setting(tmp_path: Path) -> None:
    path = saved(tmp_path, signal=numbers(40, 4), x=numbers(40, 5), state=labels(40), y=labels(40))
    assert load(path).spec.input_shape == (5,)
    assert load(path, inputs="signal", targets="state").spec.input_shape == (4,)
    with pytest.raises(ConfigError, match="did you mean 'signal'"):
        load(path, inputs="signl")


def test_files_of_medmnist_are_read_as_they_are(tmp_path: Path) -> None:
    arrays: dict[str, Values] = {}
    for split, count in (("train", 40), ("val", 10), ("test", 20)):
        images = (numbers(count, 28, 28, 3) * 50).clip(0, 255).astype(np.uint8)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels(count)[:, None]}
    splits = load(saved(tmp_path, **arrays))
    assert splits.spec.input_shape == (3, 28, 28)
    assert splits.spec.classes == ("0", "1", "2")
    inputs, targets = splits.val.tensors  # type: ignore[attr-defined]
    assert (inputs.movedim(1, 3).numpy() == arrays["val_images"]).all()
    assert (targets.numpy() == arrays["val_labels"][:, 0]).all()
    train = torch.from_numpy(arrays["train_images"]).double()
    assert torch.as_tensor(splits.spec.mean).flatten().tolist() == pytest.approx(
        train.mean((0, 1, 2)).tolist()
    )


LAYOUTS = [
    ((28, 28), np.uint8, "auto", (1, 28, 28)),
    ((28, 28), np.float32, "auto", (28, 28)),
    ((28, 28), np.float32, "first", (1, 28, 28)),
    ((28, 28), np.uint8, "none", (28, 28)),
    ((3, 8, 9), np.uint8, "auto", (3, 8, 9)),
    ((8, 9, 3), np.float32, "auto", (3, 8, 9)),
    ((8, 9, 4), np.uint8, "none", (8, 9, 4)),
    ((8, 9, 2), np.uint8, "last", (2, 8, 9)),
    ((3, 8, 3), np.uint8, "last", (3, 3, 8)),
    ((7, 2), np.float32, "auto", (7, 2)),
]


@pytest.mark.parametrize(("shape", "dtype", "channels", "wanted"), LAYOUTS)
def test_images_have_their_colours_first(
    shape: tuple[int, ...], dtype: Any, channels: str, wanted: tuple[int, ...], tmp_path: Path
) -> None:
    path = saved(tmp_path, x=(numbers(20, *shape) * 50).clip(0, 255).astype(dtype), y=labels(20))
    spec = load(path, channels=channels).spec
    assert spec.input_shape == wanted
    assert torch.as_tensor(spec.mean).numel() == wanted[0 if len(wanted) == 3 else -1] or (
        channels == "none"
    )


def test_colours_of_what_is_no_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.channels=last: expected images"):
        load(saved(tmp_path, x=numbers(20, 5), y=labels(20)), channels="last")


def test_without_normalisation_bytes_go_from_0_to_1(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.ones((20, 8, 8), np.uint8), y=labels(20))
    spec = load(path, normalise=False).spec
    assert (spec.mean, spec.std) == (0, 255)


def test_large_numbers_keep_their_digits(tmp_path: Path) -> None:
    times = 1.7e9 + np.arange(40)
    splits = load(saved(tmp_path, x=np.column_stack([times, numbers(40)]), y=labels(40)))
    inputs = splits.train.tensors[0]  # type: ignore[attr-defined]
    assert inputs.dtype == torch.as_tensor(splits.spec.mean).dtype == torch.float64
    assert len(inputs[:, 0].unique()) == len(inputs)


def test_splits_of_different_dtypes_are_stored_in_one_that_holds_both(tmp_path: Path) -> None:
    arrays = {"x_train": (numbers(30, 4) * 9).astype(np.uint8), "x_test": numbers(10, 4)}
    splits = load(saved(tmp_path, **arrays, y_train=labels(30), y_test=labels(10)))
    inputs = splits.test.tensors[0]  # type: ignore[attr-defined]
    assert inputs.numpy() == pytest.approx(arrays["x_test"], abs=1e-6)


TARGETS: list[tuple[Values, Task, tuple[str, ...], str]] = [
    (labels(60, 4), Task.classification, ("0", "1", "2", "3"), "4 different whole numbers"),
    (labels(60, 4) + 1, Task.classification, ("1", "2", "3", "4"), "dataset.task=regression"),
    (labels(60, 2) * 2 - 1, Task.classification, ("-1", "1"), "dataset.task=regression"),
    (labels(60, 2) == 1, Task.classification, ("0", "1"), "dataset.task=regression"),
    (labels(60, 2).astype(np.float32), Task.regression, (), "dataset.task=classification"),
    (np.arange(60), Task.regression, (), "60 different whole numbers"),
    (np.eye(3)[labels(60)], Task.classification, ("0", "1", "2"), "one column of each row"),
    (np.array(["ü", "b"])[labels(60, 2)], Task.classification, ("b", "ü"), "texts"),
    (np.array([b"c", b"b"])[labels(60, 2)], Task.classification, ("b", "c"), "texts"),
    (numbers(60, 2), Task.regression, (), "2 numbers for each item"),
    (labels(60, 4)[:, None], Task.classification, ("0", "1", "2", "3"), "dataset.task=regression"),
]


@pytest.mark.parametrize(("targets", "task", "classes", "reason"), TARGETS)
def test_what_targets_are_is_found_and_said(
    targets: Values, task: Task, classes: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    splits = load(saved(tmp_path, x=numbers(60, 2), y=targets))
    assert splits.spec.task is task
    assert splits.spec.classes == classes
    assert reason in splits.reason
    if not classes:
        assert tensors(splits)[1].sum() == pytest.approx(targets.sum(), abs=1e-4)


def test_the_task_is_a_setting(tmp_path: Path) -> None:
    path = saved(tmp_path, x=numbers(60, 2), y=labels(60), z=numbers(60, 2))
    assert load(path, task=Task.regression).spec.task is Task.regression
    whole = saved(tmp_path, x=numbers(60, 2), y=labels(60).astype(float))
    assert load(whole, task=Task.classification).spec.classes == ("0", "1", "2")
    with pytest.raises(DataError, match="one class for each item, found 2 numbers"):
        load(saved(tmp_path, x=numbers(60, 2), y=numbers(60, 2)), task=Task.classification)


def test_several_targets_have_names_and_units(tmp_path: Path) -> None:
    targets = numbers(60, 2) * [3, 500] + [7, 1e4]
    spec = load(saved(tmp_path, x=numbers(60, 2), y=targets)).spec
    assert spec.targets == ("y[0]", "y[1]")
    assert torch.as_tensor(spec.target_mean).tolist() == pytest.approx([7, 1e4], rel=0.1)
    assert torch.as_tensor(spec.target_std).tolist() == pytest.approx([3, 500], rel=0.3)


def test_classes_may_have_names(tmp_path: Path) -> None:
    path = saved(tmp_path, x=numbers(60, 2), y=labels(60))
    assert load(path, classes=["cat", "dog", "cow"]).spec.classes == ("cat", "dog", "cow")
    with pytest.raises(DataError, match=r"from 0 to 1, as dataset\.classes has 2 names, found 2"):
        load(path, classes=["cat", "dog"])
    with pytest.raises(DataError, match=r"'b' is none of dataset\.classes"):
        load(
            saved(tmp_path, x=numbers(60, 2), y=np.array(["a", "b"])[labels(60, 2)]), classes=["a"]
        )


def test_folds_need_a_val_split_that_is_drawn(tmp_path: Path) -> None:
    path = saved(tmp_path, x=numbers(60, 2), y=labels(60))
    found = [load(path, folds=4, fold=fold) for fold in range(4)]
    rows = [items(*part.val.tensors) for part in found]  # type: ignore[attr-defined]
    rows.append(items(*found[0].test.tensors))  # type: ignore[attr-defined]
    assert sorted(row for part in rows for row in part) == items(numbers(60, 2), labels(60))
    own = {"x": numbers(60, 2), "y": labels(60), "x_val": numbers(9, 2), "y_val": labels(9)}
    with pytest.raises(ConfigError, match="has a val split already"):
        load(saved(tmp_path, **own), folds=4)


WRONG: list[tuple[dict[str, Values], str]] = [
    ({}, "found none; dataset.inputs=NAME"),
    ({"a": numbers(3, 4), "b": numbers(5)}, r"found a \[3, 4\], b \[5\]; dataset.inputs=NAME"),
    ({"x": numbers(9, 4), "y": labels(8)}, r"array y: expected targets \[9\].* numbers \[8\]"),
    ({"x": numbers(9, 4), "y": numbers(9, 2, 2)}, r"array y: .*found numbers \[9, 2, 2\]"),
    ({"x": np.float64(3), "y": labels(9)}, r"array x: expected numbers of items"),
    ({"x": numbers(0, 4), "y": labels(0)}, r"array x: .*found numbers \[0, 4\]"),
    ({"x": np.array(["a"] * 9), "y": labels(9)}, r"array x: .*found texts \[9\]"),
    ({"x": np.array([1, None] * 5), "y": labels(10)}, "'x' cannot be read: expected numbers or"),
    ({"x": numbers(10, 2) * 1j, "y": labels(10)}, "real numbers, found complex"),
    ({"x": numbers(10, 2), "y": labels(10) * 0}, "expected different targets, found 0 alone"),
    ({"x": numbers(9, 2), "y": np.array([*"abcdefghi"])}, "found another text for each"),
    ({"x_train": numbers(10, 2), "y": labels(10)}, "found x_train alone"),
    (
        {"x": numbers(10, 2), "y": labels(10), "x_test": numbers(4, 3), "y_test": labels(4)},
        r"array x_test: expected items as in train, numbers \[10, 2\], found numbers \[4, 3\]",
    ),
]


@pytest.mark.parametrize(("arrays", "told"), WRONG)
def test_arrays_that_do_not_fit_are_told(
    arrays: dict[str, Values], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        load(saved(tmp_path, **arrays))
    assert str(tmp_path / "a.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_number_that_is_not_finite_is_told_with_its_item(
    name: str, wrong: float, tmp_path: Path
) -> None:
    arrays = {"x": numbers(60, 2), "y": numbers(60)}
    arrays[name][7] = wrong
    with pytest.raises(DataError, match=f"array {name}, item 7: expected finite"):
        load(saved(tmp_path, **arrays))


def test_items_that_memory_has_no_room_for_stay_in_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(
        {"x": torch.from_numpy(numbers(60, 2)), "y": torch.from_numpy(labels(60))},
        tmp_path / "a.safetensors",
    )
    inside = load(tmp_path / "a.safetensors")
    monkeypatch.setattr("plugins.dataset._array._items._SHARE", 0.0)
    outside = load(tmp_path / "a.safetensors")
    assert not hasattr(outside.train, "tensors")
    values = [outside.train[k][0] for k in range(len(outside.train))]  # type: ignore[arg-type]
    assert torch.stack(values).equal(inside.train.tensors[0])  # type: ignore[attr-defined]


def rezipped(path: Path, name: str, content: bytes, packed: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path) as file:
        others = {n: file.read(n) for n in file.namelist() if n != name}
    with zipfile.ZipFile(path, "w", packed) as file:
        for other, stored in others.items():
            file.writestr(other, stored)
        file.writestr(name, content)


def npy(shape: str, data: bytes, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


BOMB = bytes(2**26)
HOSTILE: list[tuple[str, bytes, str]] = [
    (
        "a pickle",
        npy("(1,)", b"cos\nsystem\n(S'touch /tmp/canary'\ntR.", "'|O'"),
        "numbers or texts",
    ),
    ("a size that lies", npy("(10, 1000000000000)", bytes(99)), "as its shape says, found 99"),
    ("a size that overflows", npy("(10, 9223372036854775807)", bytes(9)), "as its shape says"),
    (
        "less than it says",
        npy("(20, 2)", bytes(39)),
        "expected 40 bytes, as its shape says, found 39",
    ),
    (
        "more than it says",
        npy("(20, 2)", bytes(41)),
        "expected 40 bytes, as its shape says, found 41",
    ),
    ("a bomb", npy("(64, 1048576)", BOMB), "may be made to fill the memory"),
    ("no array", b"PK nonsense", "arrays, which cannot be read"),
    ("empty", b"", "arrays, which cannot be read"),
    ("a header of code", npy("__import__('os').system('true')", b""), "cannot be read"),
    ("another version", b"\x93NUMPY\x03\x00" + bytes(20), "version 1 or 2"),
    ("negative sizes", npy("(-20, -2)", bytes(40)), "expected sizes from 0 on"),
    ("structures", npy("(20,)", bytes(160), "[('a', '<f4'), ('b', '<f4')]"), "numbers or texts"),
    ("dates", npy("(20,)", bytes(160), "'<M8[s]'"), "numbers or texts"),
]


@pytest.mark.parametrize(("content", "told"), [case[1:] for case in HOSTILE])
def test_hostile_arrays_are_refused(content: bytes, told: str, tmp_path: Path) -> None:
    path = saved(tmp_path, x=numbers(20, 2), y=labels(20))
    rezipped(path, "x.npy", content)
    with pytest.raises(DataError, match=told) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 480


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "changed": lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    "something else": lambda _: b"no archive at all",
    "a header of 2^60": lambda content: (2**60).to_bytes(8, "little") + content[8:],
    "a header of 64 MB": lambda content: (2**26).to_bytes(8, "little") + content[8:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", [".npz", ".safetensors"])
def test_damaged_files_are_told(damage: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{kind}"
    if kind == ".npz":
        saved(tmp_path, x=numbers(99, 2), y=labels(99))
    else:
        tensors = {"x": torch.from_numpy(numbers(99, 2)), "y": torch.from_numpy(labels(99))}
        save_file(tensors, path)
        if damage == "changed":
            pytest.skip("the format has no checksum")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.npz", "a.csv", "a.npy", "a.pt", "folder.npz"])
def test_what_is_no_file_of_arrays_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    if name in ("a.csv", "a.npy", "a.pt"):
        (tmp_path / name).write_text("1,2")
    with pytest.raises(DataError, match=name):
        load(tmp_path / name)
