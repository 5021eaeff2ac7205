import torch

from experiments import ConfigError, Device, register


@register("mps")
class MPS(Device):
    """The GPU of an Apple computer; it has no float64."""

    def find(self) -> torch.device:
        if not torch.backends.mps.is_available():
            raise ConfigError(
                "device=mps is not there: torch finds no Apple GPU. Allowed: cpu, auto."
            )
        return torch.device("mps")
