"""Kept splits: they are the ones that were read, and nothing is used that has changed since."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from composed import ROOT
from PIL import Image
from problems import numbers
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import Dataset, Splits, lookup, tensorfile
from experiments.data import cache
from experiments.plugin.discovery import import_file

REAL = ROOT.parent / "shared" / "data"
CODE = '''
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from experiments import Dataset, DataSpec, Splits, Task, register


@register("pixels")
class Pixels(Dataset):
    """Random pixels, whose seed is in a file."""

    path: str
    items: int = 1000
    held_out: bool = True
    source: str = ""

    def load(self):
        draw = torch.Generator().manual_seed(int(Path(self.path).read_text()))
        train, val, test = (self.part(draw, n) for n in (self.items, 400, 300))
        spec = DataSpec(
            input_shape=(3, 32, 32),
            task=Task.classification,
            classes=("cat", "dog"),
            mean=torch.tensor([120.0, 121, 122]).view(3, 1, 1),
            std=torch.tensor([50.0, 51, 52]).view(3, 1, 1),
        )
        return Splits(
            spec=spec,
            train=train,
            val=val if self.held_out else test,
            test=test,
            source=self.source or self.path,
            optimum=0.1,
        )

    def part(self, draw, n):
        inputs = torch.randint(256, (n, 3, 32, 32), generator=draw, dtype=torch.uint8)
        return TensorDataset(inputs, torch.randint(2, (n,), generator=draw))
'''

pytestmark = pytest.mark.usefixtures("own_registry")
Make = Callable[..., Dataset]


@pytest.fixture
def pixels(tmp_path: Path) -> Make:
    """Register the plugin from a file of its own folder, and write its source."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "pixels.py").write_text(CODE)
    import_file(tmp_path / "plugin" / "pixels.py")
    (tmp_path / "source").write_text("5")
    return lambda **settings: lookup("dataset", "pixels")(  # type: ignore[return-value]
        **{"path": str(tmp_path / "source")} | settings
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Make:
    """Write ten images of each of two classes."""
    for label in ("one", "two"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for k in range(10):
            values = (numbers(12, 9, 3, seed=k + 10 * len(label)) * 40 + 128).clamp(0, 255)
            image = Image.fromarray(values.to(torch.uint8).numpy())
            image.save(tmp_path / "images" / label / f"{k}.png")
    return lambda **settings: lookup("dataset", "image_folder")(  # type: ignore[return-value]
        **{"root": str(tmp_path / "images"), "size": 8} | settings
    )


def load(dataset: Dataset, folder: Path, *, keep: bool = True, workers: int = 0) -> Splits:
    return cache.load_splits(dataset, folder, keep=keep, workers=workers)


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def forbid_loading(dataset: Dataset, patch: pytest.MonkeyPatch) -> None:
    def fail(_: Dataset) -> Splits:
        raise AssertionError("the source is read")

    patch.setattr(type(dataset), "load", fail)


def parts(splits: Splits) -> list[Any]:
    return [splits.train, splits.val, splits.test]


def tensors(splits: Splits) -> list[Tensor]:
    """Return the tensors of the splits and of their spec."""
    assert all(isinstance(part, TensorDataset) for part in parts(splits))
    of_spec = [torch.as_tensor(value) for value in (splits.spec.mean, splits.spec.std)]
    return [*(tensor for part in parts(splits) for tensor in part.tensors), *of_spec]


def facts(splits: Splits) -> list[Any]:
    spec = splits.spec
    return [spec.input_shape, spec.task, spec.classes, splits.source, splits.optimum]


def same(one: Splits, other: Splits) -> bool:
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    equal = all(a.dtype == b.dtype and a.equal(b) for a, b in pairs)
    return equal and facts(one) == facts(other)


def test_what_was_read_once_is_given_again_without_its_source(
    pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(pixels(), tmp_path / "cache")
    (file,) = kept(tmp_path / "cache")
    assert file.name.startswith("pixels-")
    forbid_loading(pixels(), monkeypatch)
    again = load(pixels(), tmp_path / "cache")
    assert same(again, first)
    assert again.train is not first.train


@pytest.mark.skipif(not REAL.exists(), reason="the folder with the real data is not here")
def test_the_real_fashion_mnist_comes_back_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = lookup("dataset", "fashion_mnist")(root=str(REAL))  # type: ignore[call-arg]
    assert isinstance(dataset, Dataset)
    first = load(dataset, tmp_path)
    forbid_loading(dataset, monkeypatch)
    assert same(load(dataset, tmp_path), first)


def test_a_run_without_residence_uses_what_a_resident_one_kept(
    pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(pixels(), tmp_path / "cache")
    forbid_loading(pixels(), monkeypatch)
    assert same(load(pixels(resident=False), tmp_path / "cache"), first)


def change_content(source: Path, text: str) -> None:
    """Write a file and leave its time."""
    times = source.stat().st_atime_ns, source.stat().st_mtime_ns
    source.write_text(text)
    os.utime(source, ns=times)


def change_size(folder: Path) -> None:
    change_content(folder / "source", "55")


def change_time(folder: Path) -> None:
    time = (folder / "source").stat().st_mtime_ns
    (folder / "source").write_text("6")
    os.utime(folder / "source", ns=(time, time + 1))


def change_code(folder: Path) -> None:
    file = folder / "plugin" / "pixels.py"
    file.write_text(CODE.replace("dtype=torch.uint8)", "dtype=torch.uint8) // 2"))
    import_file(file)


def change_neighbour(folder: Path) -> None:
    (folder / "plugin" / "_more.py").write_text("# a module that helps the plugin\n")
    change_content(folder / "source", "6")


@pytest.mark.parametrize("change", [change_size, change_time, change_code, change_neighbour])
def test_what_has_changed_is_read_again_and_kept_again(
    change: Callable[[Path], None],
    pixels: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = load(pixels(), tmp_path / "cache")
    change(tmp_path)
    second = load(pixels(), tmp_path / "cache")
    assert not same(second, first)
    assert same(second, pixels().load())
    forbid_loading(pixels(), monkeypatch)
    assert same(load(pixels(), tmp_path / "cache"), second)


def test_a_file_of_a_folder_counts_with_its_name(
    pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "a").write_text("a")
    settings = {"source": str(tmp_path / "folder")}
    first = load(pixels(**settings), tmp_path / "cache")
    (tmp_path / "folder" / "deep" / "a").rename(tmp_path / "folder" / "deep" / "b")
    with monkeypatch.context() as patch:
        forbid_loading(pixels(), patch)
        with pytest.raises(AssertionError, match="the source is read"):
            load(pixels(**settings), tmp_path / "cache")
    assert same(load(pixels(**settings), tmp_path / "cache"), first)
    forbid_loading(pixels(), monkeypatch)
    assert same(load(pixels(**settings), tmp_path / "cache"), first)


def test_other_settings_have_a_file_of_their_own(pixels: Make, tmp_path: Path) -> None:
    load(pixels(), tmp_path / "cache")
    other = load(pixels(items=999), tmp_path / "cache")
    assert len(other.train) == 999  # type: ignore[arg-type]
    assert len(kept(tmp_path / "cache")) == 2


def flip(content: bytearray, place: int) -> bytes:
    content[place] ^= 1
    return bytes(content)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a byte of the items": lambda content: flip(bytearray(content), len(content) // 2),
    "the last byte": lambda content: flip(bytearray(content), -1),
    "a byte of the header": lambda content: flip(bytearray(content), 20),
    "the first byte": lambda content: flip(bytearray(content), 0),
    "cut": lambda content: content[: len(content) // 2],
    "short": lambda content: content[:4],
    "empty": lambda _: b"",
    "other": lambda _: b"no such file " * 99,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again(
    damage: str, pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(pixels(), tmp_path / "cache")
    (file,) = kept(tmp_path / "cache")
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert same(load(pixels(), tmp_path / "cache"), first)
    assert tensorfile.load(file)[0]["train/inputs"].equal(tensors(first)[0])
    forbid_loading(pixels(), monkeypatch)
    assert same(load(pixels(), tmp_path / "cache"), first)


@pytest.mark.parametrize(
    "settings", [{"items": 300}, {"source": "no such path, seed 5"}, {"resident": False}]
)
def test_small_data_and_such_of_no_path_and_such_of_a_loader_are_not_kept(
    settings: dict[str, Any], pixels: Make, tmp_path: Path
) -> None:
    dataset = pixels(**settings)
    assert same(load(dataset, tmp_path / "cache"), dataset.load())
    assert not kept(tmp_path / "cache")


def test_a_run_that_keeps_nothing_uses_what_is_there(
    pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(pixels(), tmp_path / "cache", keep=False)
    assert not (tmp_path / "cache").exists()
    load(pixels(), tmp_path / "cache")
    before = [(file, file.stat().st_mtime_ns) for file in kept(tmp_path / "cache")]
    with monkeypatch.context() as patch:
        forbid_loading(pixels(), patch)
        assert same(load(pixels(), tmp_path / "cache", keep=False), first)
    change_size(tmp_path)
    assert not same(load(pixels(), tmp_path / "cache", keep=False), first)
    assert [(file, file.stat().st_mtime_ns) for file in kept(tmp_path / "cache")] == before


def test_a_val_split_that_is_the_test_split_is_stored_once(
    pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = pixels(held_out=False, items=1200)
    first = load(dataset, tmp_path / "cache")
    (file,) = kept(tmp_path / "cache")
    stored, _ = tensorfile.load(file)
    assert len([name for name in stored if name.endswith("/inputs")]) == 2
    assert file.stat().st_size < 1.01 * (1200 + 300) * (3 * 32 * 32 + 8)
    forbid_loading(dataset, monkeypatch)
    again = load(dataset, tmp_path / "cache")
    assert same(again, first)
    assert parts(again)[1].tensors[0].equal(parts(again)[2].tensors[0])


def test_a_folder_that_cannot_be_made_is_one_warning(pixels: Make, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.warns(UserWarning, match="keeps no copy of the data: File exists") as caught:
        splits = load(pixels(), tmp_path / "cache")
    assert len(caught) == 1
    assert str(tmp_path / "cache") in str(caught[0].message)
    assert same(splits, pixels().load())


def test_a_full_disk_is_one_warning(
    pixels: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.warns(UserWarning, match="No space left on device") as caught:
            splits = load(pixels(), tmp_path / "cache")
    assert len(caught) == 1
    assert same(splits, pixels().load())
    assert not list((tmp_path / "cache").glob("*.safetensors"))
    assert same(load(pixels(), tmp_path / "cache"), splits)
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_images_are_decoded_once_into_what_they_are_one_by_one(
    workers: int, pictures: Make, tmp_path: Path
) -> None:
    splits = load(pictures(), tmp_path / "cache", workers=workers)
    for decoded, lazy in zip(parts(splits), parts(pictures().load()), strict=True):
        assert isinstance(decoded, TensorDataset)
        inputs, targets = decoded.tensors
        assert inputs.dtype == torch.uint8
        assert targets.dtype == torch.long
        assert inputs.equal(torch.stack([image for image, _ in lazy]))
        assert targets.tolist() == [label for _, label in lazy]


def test_decoding_takes_nothing_from_the_default_generator(pictures: Make, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    load(pictures(), tmp_path / "cache")
    assert torch.get_rng_state().equal(before)


def test_decoded_images_are_kept_until_one_of_them_changes(
    pictures: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = pictures(size=270)  # 20 such images have more than 4 MiB
    first = load(dataset, tmp_path / "cache")
    with monkeypatch.context() as patch:
        forbid_loading(dataset, patch)
        assert same(load(dataset, tmp_path / "cache"), first)
    for file in (tmp_path / "images" / "two").iterdir():
        Image.new("RGB", (10, 10), (255, 0, 0)).save(file)
    changed = load(dataset, tmp_path / "cache")
    assert not same(changed, first)
    assert len(kept(tmp_path / "cache")) == 1


def test_images_of_a_loader_stay_files(pictures: Make, tmp_path: Path) -> None:
    dataset = pictures(resident=False, size=270)
    found = parts(load(dataset, tmp_path / "cache"))
    assert not any(isinstance(part, TensorDataset) for part in found)
    assert not kept(tmp_path / "cache")


@pytest.mark.parametrize(
    ("available", "decoded"), [(2 * 20 * 192 - 1, False), (2 * 20 * 192, True)]
)
def test_images_stay_files_where_they_would_take_over_half_of_the_free_memory(
    available: int,
    decoded: bool,
    pictures: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = SimpleNamespace(available=available)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    splits = load(pictures(), tmp_path / "cache")
    assert [isinstance(part, TensorDataset) for part in parts(splits)] == [decoded] * 3
