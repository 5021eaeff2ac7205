"""Checkpoints: bit-exact, and damage is noticed."""

from pathlib import Path

import pytest
import torch

from experiments import DataError, checkpoint

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def contents() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {str(d): (torch.randn(3, 4, generator=generator) * 5).to(d) for d in DTYPES}
    return made | {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}


def test_tensors_and_facts_come_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.safetensors"
    checkpoint.save(path, contents(), {"step": 7, "name": "ü"})
    tensors, facts = checkpoint.load(path)
    assert facts == {"step": 7, "name": "ü"}
    assert tensors.keys() == contents().keys()
    for name, tensor in contents().items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].equal(tensor)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", [0.02, 0.3, 0.9, 0.999])
def test_a_flipped_bit_is_noticed(tmp_path: Path, place: float) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"weights": torch.randn(200)}, {"step": 1})
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.safetensors"):
        checkpoint.load(path)


@pytest.mark.parametrize("kept", [0, 5, 100, 700])
def test_a_cut_file_is_noticed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"weights": torch.randn(200)}, {})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError):
        checkpoint.load(path)


def test_a_crash_before_the_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, {"weights": torch.ones(2)}, {})

    def crash(*_: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="no more"):
        checkpoint.save(path, {"weights": torch.zeros(2)}, {})
    assert checkpoint.load(path)[0]["weights"].equal(torch.ones(2))


def test_an_absent_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable checkpoint"):
        checkpoint.load(tmp_path / "absent.safetensors")
