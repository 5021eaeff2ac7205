"""The device: what it cannot do is refused, and what it is asked for is switched on and off."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from composed import compose

from experiments import ConfigError, Device
from experiments.plugin.spec import Precision
from experiments.training.device import open_device
from experiments.training.session import prepare


class Fake(Device):
    """Another device than the one that is there."""

    def find(self) -> torch.device:
        return torch.device(KIND[type(self)])


class Card(Fake):
    """A CUDA GPU."""


class Apple(Fake):
    """The GPU of an Apple computer."""


class Processor(Fake):
    """The processor."""


class Intel(Fake):
    """The GPU of Intel."""


KIND = {Card: "cuda", Apple: "mps", Processor: "cpu", Intel: "xpu"}
KINDS = list(KIND)


@pytest.fixture(autouse=True)
def _switches() -> Iterator[None]:
    """Set back what a device switches for the whole process."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(autouse=True, params=[True, False])
def with_bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let the CUDA GPU have bfloat16, or not."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: request.param)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "GeForce 256")
    return bool(request.param)


def refusal(device: Device) -> str:
    with pytest.raises(ConfigError) as caught:
        open_device(device)
    return str(caught.value)


def test_bfloat16_is_refused_where_the_gpu_lacks_it(with_bf16: bool) -> None:
    device = Card(precision=Precision.bf16)
    if with_bf16:
        assert open_device(device) == torch.device("cuda")
        return
    assert refusal(device) == (
        "device.precision=bf16: GeForce 256 has no bfloat16. Allowed: fp32, tf32, fp64, fp16."
    )


def test_float64_is_refused_where_the_gpu_lacks_it() -> None:
    assert refusal(Apple(precision=Precision.fp64)) == (
        "device.precision=fp64: mps has no float64. Allowed: fp32, bf16, fp16."
    )


def test_tf32_is_refused_without_a_gpu_that_may_have_it() -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(compose(["device=cpu", "device.precision=tf32", "tracking=none"]))
    assert str(caught.value) == (
        "device.precision=tf32: cpu has no TF32. Allowed: fp32, bf16, fp64, fp16."
    )


@pytest.mark.parametrize("kind", [Apple, Processor, Intel])
def test_a_graph_is_refused_without_a_cuda_gpu(kind: type[Device]) -> None:
    name = KIND[kind]  # type: ignore[index]
    assert refusal(kind(graph=True)) == (
        f"device.graph=true: {name} has no CUDA graphs; use device.compile."
    )


def test_a_graph_is_refused_before_there_is_a_run() -> None:
    with pytest.raises(ConfigError, match=r"^device\.graph=true: cpu"):
        prepare(compose(["device=cpu", "device.graph=true", "tracking=none"]))


def test_a_cuda_gpu_may_have_a_graph() -> None:
    assert open_device(Card(graph=True)) == torch.device("cuda")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", list(Precision))
def test_what_is_allowed_instead_is_not_refused(kind: type[Device], precision: Precision) -> None:
    try:
        open_device(kind(precision=precision))
    except ConfigError as error:
        allowed = str(error).partition("Allowed: ")[2].rstrip(".").split(", ")
        assert precision.name not in allowed
        assert "fp32" in allowed
        for name in allowed:
            open_device(kind(precision=Precision[name]))


@pytest.mark.parametrize("kind", [Card, Intel])
def test_only_tf32_lets_products_of_float32_be_rounded(kind: type[Device]) -> None:
    for precision, wanted in ((Precision.tf32, "high"), (Precision.fp32, "highest")):
        open_device(kind(precision=precision))
        assert torch.get_float32_matmul_precision() == wanted


def test_a_refused_device_switches_nothing() -> None:
    open_device(Processor(threads=1))
    refusal(Processor(precision=Precision.tf32, threads=2, deterministic=True))
    assert torch.get_num_threads() == 1
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.are_deterministic_algorithms_enabled()


def test_threads_are_as_many_as_asked_for_or_left_alone() -> None:
    for threads, wanted in ((1, 1), (2, 2), (None, 2), (1, 1)):
        open_device(Processor(threads=threads))
        assert torch.get_num_threads() == wanted


def test_determinism_is_switched_on_and_off() -> None:
    for wanted in (True, False, True):
        open_device(Processor(deterministic=wanted))
        assert torch.are_deterministic_algorithms_enabled() is wanted


def test_what_is_off_already_is_not_switched_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("importing the compiler takes a second")

    monkeypatch.setattr(torch, "use_deterministic_algorithms", fail)
    open_device(Processor())
