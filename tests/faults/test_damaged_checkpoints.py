"""Damage of a checkpoint is noticed wherever it is: single bits, lost ends, blocks of a disk."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from composed import SMALL, compose

from experiments import tensorfile
from experiments.errors import DataError
from experiments.training import checkpoint
from experiments.training.session import prepare

Rounds = Callable[[int, int], int]
BLOCK = 64  # bytes; those of a disk are larger, and the file would have few of them


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a run's checkpoint."""
    session = prepare(compose([*SMALL, "tracking=none", "model=mlp", "model.hidden=[8]"]))
    path = tmp_path_factory.mktemp("whole") / "a.safetensors"
    tensorfile.save(path, *checkpoint.of_model(session, 7, {"val/loss": 0.5}))
    return path.read_bytes()


def is_noticed(path: Path, content: bytes) -> bool:
    """Say whether loading is refused, with one line that names the file."""
    path.write_bytes(content)
    try:
        tensorfile.load(path)
    except DataError as error:
        return str(path) in str(error) and "\n" not in str(error)
    return False


def flipped(content: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed)


def regions(content: bytes) -> dict[str, range]:
    """Return the places of each part of a file: its length, header, facts, checksum and tensors."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    checksum = content.index(header["__metadata__"]["sha256"].encode())
    facts = content.index(b'"facts":')
    found = {
        "length": range(8),
        "header": range(8, start),
        "facts": range(facts, facts + len(header["__metadata__"]["facts"])),
        "checksum": range(checksum, checksum + 64),
    }
    del header["__metadata__"]
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        found[name] = range(start + first, start + last)
        place = content.index(f'"{name}":'.encode())
        found[f"header of {name}"] = range(place, content.index(b"}", place))
    return found


def test_a_flipped_bit_is_noticed_in_each_region(
    whole: bytes, tmp_path: Path, rounds: Rounds
) -> None:
    draw = random.Random(0)
    found = regions(whole)
    assert {"length", "facts", "checksum", "params/weights1", "spec/mean"} <= set(found)
    for name, places in found.items():
        drawn = draw.sample(places, min(len(places), rounds(len(places), 8)))
        for place in {places[0], places[-1], *drawn}:
            for bit in draw.sample(range(8), rounds(8, 1)):
                changed = flipped(whole, place, bit)
                assert is_noticed(tmp_path / "a", changed), (name, place, bit)
    assert not is_noticed(tmp_path / "a", whole)


def test_a_lost_end_is_noticed_at_each_length(whole: bytes, tmp_path: Path, rounds: Rounds) -> None:
    lengths = range(0, len(whole), max(1, len(whole) // rounds(len(whole), 200)))
    for length in lengths:
        assert is_noticed(tmp_path / "a", whole[:length]), length


def blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what disks and copying leave: blocks that are empty, old, twice or at other places."""
    starts = range(0, len(content), BLOCK)
    for start in starts:
        before, own, after = content[:start], content[start:][:BLOCK], content[start:][BLOCK:]
        yield f"{start}: zeros", before + bytes(len(own)) + after
        yield f"{start}: ones", before + b"\xff" * len(own) + after
        yield f"{start}: lost", before + after
        yield f"{start}: twice", before + own + own + after
        yield f"{start}: turned", before + own[::-1] + after
        yield f"{start}: zeros to the end", before + bytes(len(own + after))
        if start + BLOCK < len(content):
            yield f"{start}: in another order", before + after[:BLOCK] + own + after[BLOCK:]


def test_damaged_blocks_are_noticed(whole: bytes, tmp_path: Path) -> None:
    tried = 0
    for name, content in blocks(whole):
        assert content == whole or is_noticed(tmp_path / "a", content), name
        tried += 1
    assert tried > 6 * len(whole) / BLOCK


def test_the_end_of_a_newer_file_is_noticed(whole: bytes, tmp_path: Path) -> None:
    """Two files of equal length, whose blocks got mixed."""
    path = tmp_path / "newer"
    path.write_bytes(whole)
    tensors, facts = tensorfile.load(path)
    newer = {name: tensor + 1 for name, tensor in tensors.items()}
    tensorfile.save(path, newer, facts | {"step": 8})
    content = path.read_bytes()
    assert len(content) == len(whole)
    for length in range(0, len(whole) + 1, 64):
        mixed = content[:length] + whole[length:]
        expected = mixed not in (whole, content)
        assert is_noticed(tmp_path / "a", mixed) is expected, length


@pytest.mark.whole
def test_a_flipped_bit_is_noticed_in_each_part_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    tensors = {f"layer{k}": torch.randn(1 << 16) for k in range(64)}
    tensorfile.save(path, tensors, {"step": 1})
    content = bytearray(path.read_bytes())
    assert len(content) > 2**24
    draw = random.Random(0)
    for part in range(128):
        place, bit = part * len(content) // 128 + draw.randrange(2**15), draw.randrange(8)
        content[place] ^= 1 << bit
        assert is_noticed(path, bytes(content)), (place, bit)
        content[place] ^= 1 << bit
    assert not is_noticed(path, bytes(content))
