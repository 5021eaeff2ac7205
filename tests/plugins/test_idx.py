"""Reading idx files: what was written comes back, and no damage passes; and dividing items."""

import gzip
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from idx_files import IMAGES, LABELS, packed, write, write_mnist
from torch import Tensor

from experiments import DataError, Splits
from plugins.dataset import _idx, _split
from plugins.dataset.fashion_mnist import FashionMNIST


def load(root: Path) -> Splits:
    return FashionMNIST(root=str(root)).load()


def refused(path: Path, dimensions: int = 3) -> str:
    """Return the message with which reading fails: one line that names the file."""
    with pytest.raises(DataError) as caught:
        _idx.read(path, dimensions)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    suffix=st.sampled_from(["", ".gz"]),
)
def test_what_was_written_is_read(shape: list[int], seed: int, suffix: str) -> None:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randint(256, shape, generator=draw, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"values{suffix}", packed(values))
        assert _idx.sizes(path, len(shape)) == tuple(shape)
        assert torch.equal(_idx.read(path, len(shape)), values)


@given(cut=st.integers(0, 79), suffix=st.sampled_from(["", ".gz"]))
def test_a_truncated_file_is_refused_at_every_length(cut: int, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"values{suffix}", packed(IMAGES[:1, :8, :8]))
        path.write_bytes(path.read_bytes()[:cut])
        refused(path)


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_of_gzip_data_never_changes_a_value(place: int, bit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "values.gz", packed(IMAGES))
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)
        try:
            found = _idx.read(path, 3)
        except DataError:
            return
        # Such as gzip's time stamp, which nothing depends on.
        assert torch.equal(found, IMAGES)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda content: b"\x01" + content[1:], "magic"),
        (lambda content: content[:2] + b"\x0d" + content[3:], "found 00000d03"),
        (lambda content: content[:3] + b"\x01" + content[4:], "in 3 dimensions"),
        (lambda content: content[:10], "a header of 16 bytes, found 10"),
        (lambda _: b"", "a header of 16 bytes, found 0"),
        (lambda content: content[:-1], "expected 15680 values after its header, found 15679."),
        (lambda content: content + b"\0", "found 15681 or more"),
        (lambda content: content[:4] + bytes(4) + content[8:], "found 0 x 28 x 28"),
        (lambda content: content[:4] + b"\xff" * 12 + content[16:], "found 4294967295 x"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, damage: Callable[[bytes], bytes], expected: str, suffix: str
) -> None:
    path = write(tmp_path / f"images{suffix}", damage(packed(IMAGES)))
    assert expected in refused(path)


@pytest.mark.parametrize("tail", [b"\0", gzip.compress(b"more", mtime=0)])
def test_bytes_after_gzip_data_are_refused(tmp_path: Path, tail: bytes) -> None:
    path = write(tmp_path / "images.gz", packed(IMAGES))
    path.write_bytes(path.read_bytes() + tail)
    assert "the end of the gzip data" in refused(path)


def test_what_is_not_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(packed(IMAGES))
    assert "expected gzip data" in refused(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = packed(torch.zeros(50_000_000, dtype=torch.uint8), sizes=(20, 28, 28))
    path = write(tmp_path / "images.gz", bomb)
    tracemalloc.start()
    try:
        assert "found 15681 or more" in refused(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_a_file_larger_than_any_data_set_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "images", packed(IMAGES))
    with path.open("r+b") as file:
        file.truncate(_idx.LARGEST + 1)  # sparse: it takes no room
    assert f"found {_idx.LARGEST + 1}" in refused(path)


def test_only_files_of_the_folder_are_read(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", packed(IMAGES))
    inside = write(tmp_path / "raw" / "inside", packed(IMAGES))
    link, alias = inside.with_name("link"), inside.with_name("alias")
    link.symlink_to(outside)
    alias.symlink_to(inside)
    assert "a link out of it" in refused(link)
    assert torch.equal(_idx.read(alias, 3), IMAGES)
    assert "expected a file, found none" in refused(inside.parent)
    assert "expected a file, found none" in refused(tmp_path / "absent")


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (IMAGES[:, :27], LABELS, "expected images of 28 x 28, found 27 x 28"),
        (IMAGES, LABELS[:19], "expected 19 images, as train-labels"),
        (IMAGES, LABELS + 190, "expected labels from 0 to 9, found 199"),
    ],
)
def test_images_and_labels_have_to_fit(
    tmp_path: Path, images: Tensor, labels: Tensor, expected: str
) -> None:
    write_mnist(tmp_path / "FashionMNIST" / "raw", images=images, labels=labels)
    with pytest.raises(DataError, match=expected):
        load(tmp_path)


def test_the_file_with_a_checksum_is_preferred(tmp_path: Path) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    write_mnist(folder)
    write_mnist(folder, images=IMAGES.flip(0), suffix="")
    assert torch.equal(load(tmp_path).test[0][0][0], IMAGES[0])


fractions = st.floats(0.01, 0.45)


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    val=fractions,
    test=fractions,
    seed=st.integers(0, 2**70),
)
def test_divide_gives_each_class_its_share(
    counts: list[int], val: float, test: float, seed: int
) -> None:
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    total = len(targets)
    if total < 3:
        with pytest.raises(DataError, match="too few"):
            _split.divide(targets, val=val, test=test, seed=seed)
        return
    parts = _split.divide(targets, val=val, test=test, seed=seed)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(total))
    for part, fraction in zip(parts[1:], (val, test), strict=True):
        assert len(part) == max(1, round(total * fraction))
        drawn = targets[part].bincount(minlength=len(counts)).numpy()
        assert np.abs(drawn - np.array(counts) * len(part) / total).max() < 2
    again = _split.divide(targets, val=val, test=test, seed=seed)
    assert all(torch.equal(*pair) for pair in zip(parts, again, strict=True))


def test_divide_depends_on_the_seed_and_draws_nothing_else() -> None:
    targets = torch.zeros(100)
    before = torch.get_rng_state()
    first, second = (_split.divide(targets, val=0.5, seed=seed) for seed in (0, 1))
    assert not torch.equal(first[1], second[1])
    assert not len(first[2])
    assert torch.equal(torch.get_rng_state(), before)
