import torch

from experiments import Device, register


@register("auto")
class Auto(Device):
    """The fastest device that is there: a GPU, else the processor."""

    def find(self) -> torch.device:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
