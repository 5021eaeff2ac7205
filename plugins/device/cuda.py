import torch

from experiments import ConfigError, Device, number, register


@register("cuda")
class CUDA(Device):
    """An NVIDIA GPU (or an AMD one, with torch for ROCm)."""

    index: int = number(0, at_least=0)

    def find(self) -> torch.device:
        count = torch.cuda.device_count()
        if not torch.cuda.is_available():
            raise ConfigError(
                "device=cuda is not there: torch finds no CUDA GPU. Allowed: cpu, auto."
            )
        if self.index >= count:
            raise ConfigError(
                f"device.index={self.index} must be below {count}, the GPUs that are there."
            )
        return torch.device("cuda", self.index)
