import torch

from experiments import Device, register


@register("cpu")
class CPU(Device):
    """The processor."""

    def find(self) -> torch.device:
        return torch.device("cpu")
