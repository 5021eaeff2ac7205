"""Programs that are traced and not compiled, which takes a fraction of the time."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from experiments.training.program import inductor


def traced(function: Any, examples: Sequence[Tensor], *, early: int) -> Callable[..., Any]:
    """Run the divided graph as it is, which shows what is captured without compiling it."""
    first, second = inductor._divided(inductor._traced(function, examples), early)

    @torch.no_grad()
    def call(*tensors: Tensor) -> Any:
        return second(*first(*tensors[:early]), *tensors[early:])

    return call
