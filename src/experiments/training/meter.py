"""What a run takes of its machine, under the names of MLflow's system metrics."""

import psutil
import torch


class Meter:
    """Measures this process between two readings."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._process.cpu_percent()

    def read(self) -> dict[str, float]:
        """Return the processor's share (100 is one core) and the memory in use, in megabytes."""
        values = {
            "system/cpu_utilization_percentage": self._process.cpu_percent(),
            "system/process_memory_megabytes": self._process.memory_info().rss / 1e6,
        }
        if self._device.type == "cuda":
            used = torch.cuda.memory_allocated(self._device) / 1e6
            values[f"system/gpu_{self._device.index}_memory_usage_megabytes"] = used
        return values
