"""PyTorch with the images in memory as bytes, and an optimizer as it comes."""

from benchmarks import torch_parts
from benchmarks.data import Data
from benchmarks.work import Take, Work


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    return torch_parts.resident(work, data, fused=False, bytes_stored=True)
