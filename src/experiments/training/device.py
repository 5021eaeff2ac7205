"""The device of a run, and whether it can compute as it is asked to."""

from typing import Any

import torch

from experiments.errors import ConfigError
from experiments.plugin import failure
from experiments.plugin.kinds import Device
from experiments.plugin.spec import Precision
from experiments.process import memory


def open_device(plugin: Device) -> torch.device:
    """Return the torch device, with precision, threads and determinism as a plugin says.

    Raises ConfigError where the device cannot compute so.
    """
    device: Any = plugin.find()
    if not isinstance(device, torch.device):
        failure.refuse(plugin, "find", "a torch.device", failure.outline(device))
    _check(plugin, device)
    torch.set_float32_matmul_precision("high" if plugin.precision is Precision.tf32 else "highest")
    if plugin.deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(plugin.deterministic)  # imports the compiler: 1.3 s
    if plugin.threads is not None:
        torch.set_num_threads(plugin.threads)
    if device.type == "cpu":
        memory.keep_freed()
    return device


def _check(plugin: Device, device: torch.device) -> None:
    allowed = [precision.name for precision in Precision if not _lack(precision, device)]
    if lack := _lack(plugin.precision, device):
        name = plugin.precision.name
        raise ConfigError(f"device.precision={name}: {lack}. Allowed: {', '.join(allowed)}.")
    if plugin.graph and device.type != "cuda":
        raise ConfigError(f"device.graph=true: {device} has no CUDA graphs; use device.compile.")


def _lack(precision: Precision, device: torch.device) -> str | None:
    """Say why a device does not compute in a precision; nothing where it does."""
    if precision is Precision.fp64 and device.type == "mps":
        return f"{device} has no float64"
    if (
        precision is Precision.bf16
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(False)
    ):
        return f"{torch.cuda.get_device_name(device)} has no bfloat16"
    if precision is Precision.tf32 and device.type not in {"cuda", "xpu"}:
        return f"{device} has no TF32"
    return None
