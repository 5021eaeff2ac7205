"""The data sets: what they give, that it is the same each time, and what they refuse."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import ROOT
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from experiments import ConfigError, DataError, Splits, Task, plugins

REAL = ROOT.parent / "shared" / "data"
FASHION = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


def load(name: str, **settings: Any) -> Splits:
    loaded = plugins("dataset")[name](**settings).load()  # type: ignore[attr-defined]
    assert isinstance(loaded, Splits)
    return loaded


def sizes(splits: Splits) -> list[int]:
    return [len(part) for part in (splits.train, splits.val, splits.test)]  # type: ignore[arg-type]


def tensors(part: Any) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(part, TensorDataset)
    return part.tensors[0], part.tensors[1]


def write_idx(path: Path, values: torch.Tensor) -> None:
    head = bytes([0, 0, 8, values.dim()])
    head += b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(gzip.compress(head + values.to(torch.uint8).numpy().tobytes()))


@pytest.fixture
def idx_root(tmp_path: Path) -> Path:
    """Write 60 train and 20 test items in the files of MNIST and its relatives."""
    generator = torch.Generator().manual_seed(0)
    for name in FASHION.values():
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for prefix, count in (("train", 60), ("t10k", 20)):
            images = torch.randint(0, 256, (count, 28, 28), generator=generator)
            write_idx(raw / f"{prefix}-images-idx3-ubyte.gz", images)
            write_idx(raw / f"{prefix}-labels-idx1-ubyte.gz", torch.arange(count) % 10)
    return tmp_path


def test_digits_are_the_real_ones() -> None:
    splits = load("digits")
    assert sum(sizes(splits)) == 1797
    inputs, targets = tensors(splits.train)
    assert inputs.dtype == torch.uint8
    assert inputs.shape[1:] == splits.spec.input_shape == (1, 8, 8)
    assert targets.unique().tolist() == list(range(10))
    from sklearn.datasets import load_digits

    reference = torch.from_numpy(load_digits().images).sum()
    parts = (splits.train, splits.val, splits.test)
    assert sum(tensors(part)[0].sum() for part in parts) == reference


def test_the_splits_are_disjoint_stratified_and_the_seed_decides() -> None:
    first, again, other = (load("digits", split_seed=seed) for seed in (0, 0, 1))
    assert tensors(first.val)[0].equal(tensors(again.val)[0])
    assert not tensors(first.val)[0].equal(tensors(other.val)[0])
    counts = tensors(first.val)[1].bincount(minlength=10)
    assert counts.max() - counts.min() <= 3
    normal = (tensors(first.train)[0].float() - first.spec.mean) / first.spec.std
    assert abs(normal.mean()) < 1e-4
    assert abs(normal.std() - 1) < 1e-3


@pytest.mark.parametrize("name", list(FASHION))
def test_idx_data_sets_divide_the_train_part(name: str, idx_root: Path) -> None:
    splits = load(name, root=str(idx_root))
    assert sizes(splits) == [54, 6, 20]
    assert splits.spec.input_shape == (1, 28, 28)
    assert len(splits.spec.classes) == 10
    whole = load(name, root=str(idx_root), val_fraction=0.0)
    assert sizes(whole) == [60, 20, 20]


@pytest.mark.parametrize("name", list(FASHION))
def test_pixels_that_are_not_normalised_go_from_0_to_1(name: str, idx_root: Path) -> None:
    spec = load(name, root=str(idx_root), normalise=False).spec
    assert (spec.mean, spec.std) == (0, 255)


@pytest.mark.parametrize("name", [*FASHION, "emnist", "cifar10", "cifar100"])
def test_absent_files_are_named_with_the_ways_out(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set dataset\.download=true, or dataset\.root"):
        load(name, root=str(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_download_that_fails_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        load(name, root=str(tmp_path), download=True)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not REAL.exists(), reason="the folder with the real data is not here")
def test_the_real_fashion_mnist_is_read_from_its_packed_files() -> None:
    splits = load("fashion_mnist", root=str(REAL))
    assert sizes(splits) == [54_000, 6_000, 10_000]
    assert splits.spec.classes[9] == "Ankle boot"
    assert tensors(splits.test)[1].bincount().tolist() == [1000] * 10
    normal = (tensors(splits.train)[0].float() - splits.spec.mean) / splits.spec.std
    assert abs(normal.mean()) < 0.01


@pytest.mark.parametrize("task", [Task.regression, Task.classification])
def test_synthetic_data_follow_their_seed(task: Task) -> None:
    splits = load("synthetic", task=task)
    assert splits.spec.task is task
    assert sum(sizes(splits)) == 1000
    assert tensors(splits.train)[0].equal(tensors(load("synthetic", task=task).train)[0])
    assert not tensors(splits.train)[0].equal(
        tensors(load("synthetic", task=task, seed=1).train)[0]
    )


def test_the_optimum_of_a_regression_is_that_of_least_squares() -> None:
    splits = load("synthetic", task=Task.regression)
    inputs, targets = (part.double() for part in tensors(splits.train))
    design = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    solution = torch.linalg.lstsq(design, targets[:, None]).solution
    loss = (design @ solution - targets[:, None]).square().mean().item()
    assert splits.optimum == pytest.approx(loss, rel=1e-4)


def test_fake_images_are_the_same_each_time() -> None:
    splits, again = load("fake", items=20, size=8), load("fake", items=20, size=8)
    assert sum(sizes(splits)) == 20
    (one, label), (two, same) = splits.train[0], again.train[0]
    assert one.equal(two)
    assert label == same
    assert one.dtype == torch.uint8
    assert tuple(one.shape) == splits.spec.input_shape == (3, 8, 8)


def test_a_folder_of_images_is_read_class_by_class(tmp_path: Path) -> None:
    for label, color in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        (tmp_path / label).mkdir()
        for k in range(10):
            Image.new("RGB", (12, 9), color).save(tmp_path / label / f"{k}.png")
    splits = load("image_folder", root=str(tmp_path), size=8)
    assert splits.spec.classes == ("blue", "red")
    assert sum(sizes(splits)) == 20
    inputs, targets = next(iter(DataLoader(splits.train, batch_size=50)))
    assert inputs.dtype == torch.uint8
    for image, target in zip(inputs, targets, strict=True):
        assert image[0].min() == 255 * target
    (tmp_path / "red" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png"):
        load("image_folder", root=str(tmp_path), size=8)


@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_a_folder_without_images_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=folder):
        load("image_folder", root=str(tmp_path / folder))


def table(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_table_with_words_as_target_is_a_classification(tmp_path: Path) -> None:
    rows = [f"{k},{k % 3}.5,{'yes' if k % 2 else 'no'}" for k in range(40)]
    splits = load("csv", path=table(tmp_path / "a.csv", ["x,y,answer", *rows]))
    assert splits.spec.task is Task.classification
    assert splits.spec.classes == ("no", "yes")
    assert splits.spec.input_shape == (2,)
    inputs, targets = tensors(splits.train)
    assert (inputs[:, 0] % 2 == targets).all()


def test_a_table_with_numbers_as_target_is_a_regression(tmp_path: Path) -> None:
    rows = [f"{k * 1.7},{'a' if k % 2 else 'b'},{k}" for k in range(40)]
    path = table(tmp_path / "a.csv", ["value,kind,x", *rows])
    splits = load("csv", path=path, target="value")
    assert splits.spec.task is Task.regression
    assert splits.spec.outputs == 1
    assert splits.spec.input_shape == (3,)
    assert tensors(splits.train)[1].is_floating_point()


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], DataError),
        (["x,y"], DataError),
        (["x,y", "1,2", "1,2,3"], DataError),
        (["x,y", "1,2", ",3", "2,2"], DataError),
    ],
)
def test_a_damaged_table_is_refused_with_its_name(
    lines: list[str], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error, match=r"a\.csv"):
        load("csv", path=table(tmp_path / "a.csv", lines))


def test_an_unknown_target_is_refused_with_the_nearest_column(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ["height,weight", *(f"{k},{k * 1.5}" for k in range(30))])
    with pytest.raises(ConfigError, match="did you mean 'weight'"):
        load("csv", path=path, target="wieght")


def test_an_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv"):
        load("csv", path=str(tmp_path / "absent.csv"))
