"""Checkpoints: bit-exact, and damage is noticed."""

from pathlib import Path

import pytest
import torch

from experiments import DataError, tensorfile

DTYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8),
]


def contents() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {str(d): (torch.randn(3, 4, generator=generator) * 5).to(d) for d in DTYPES}
    special = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 1e-45])
    return made | {"special": special, "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}


def bits(tensor: torch.Tensor) -> list[int]:
    return tensor.flatten().view(torch.uint8).tolist()  # type: ignore[no-any-return]


def test_tensors_and_facts_come_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.safetensors"
    tensorfile.save(path, contents(), {"step": 7, "name": "ü"})
    tensors, facts = tensorfile.load(path)
    assert facts == {"step": 7, "name": "ü"}
    assert tensors.keys() == contents().keys()
    for name, tensor in contents().items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert bits(tensors[name]) == bits(tensor)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mask", [0x01, 0x02, 0x10, 0x80])
def test_a_flipped_bit_is_noticed_in_every_byte(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "a.safetensors"
    tensorfile.save(path, {"weights": torch.randn(20)}, {"step": 1234, "best": 0.5})
    data = path.read_bytes()
    for place, byte in enumerate(data):
        path.write_bytes(data[:place] + bytes([byte ^ mask]) + data[place + 1 :])
        with pytest.raises(DataError, match=r"a\.safetensors"):
            tensorfile.load(path)
    path.write_bytes(data)
    assert tensorfile.load(path)[1] == {"step": 1234, "best": 0.5}


def test_a_cut_file_is_noticed_at_any_length(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensorfile.save(path, {"weights": torch.randn(20)}, {})
    data = path.read_bytes()
    for kept in range(len(data)):
        path.write_bytes(data[:kept])
        with pytest.raises(DataError):
            tensorfile.load(path)


def test_views_and_lanes_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    vector = torch.arange(12.0).requires_grad_()
    views = {"all": vector, "part": vector[3:7], "turned": vector.view(3, 4).T}
    tensorfile.save(path, views, {})
    tensors, _ = tensorfile.load(path)
    assert all(tensors[name].equal(view) for name, view in views.items())


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_crash_before_the_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.safetensors"
    tensorfile.save(path, {"weights": torch.ones(2)}, {})

    def crash(*_: object) -> None:
        raise OSError("no more")

    monkeypatch.setattr(call, crash)
    with pytest.raises(OSError, match="no more"):
        tensorfile.save(path, {"weights": torch.zeros(2)}, {})
    monkeypatch.undo()
    assert tensorfile.load(path)[0]["weights"].equal(torch.ones(2))


def test_an_absent_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable checkpoint"):
        tensorfile.load(tmp_path / "absent.safetensors")
