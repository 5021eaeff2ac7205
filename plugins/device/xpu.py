import torch

from experiments import ConfigError, Device, number, register


@register("xpu")
class XPU(Device):
    """An Intel GPU."""

    index: int = number(0, at_least=0)

    def find(self) -> torch.device:
        count = torch.xpu.device_count()
        if not torch.xpu.is_available():
            raise ConfigError(
                "device=xpu is not there: torch finds no Intel GPU. Allowed: cpu, auto."
            )
        if self.index >= count:
            raise ConfigError(
                f"device.index={self.index} must be below {count}, the GPUs that are there."
            )
        return torch.device("xpu", self.index)
