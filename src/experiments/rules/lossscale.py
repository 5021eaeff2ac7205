"""Loss scaling: float16 holds no gradient below 6e-8, so all are computed times a large number.

The number is halved where a gradient overflows, whose step is then left out, and doubled after
2,000 steps without (Micikevicius et al., 2018).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from experiments.plugin.spec import State

KEY = "scaling"  # in a rule's memory

_FIRST = 2.0**16
_PATIENCE = 2000
Memory = dict[str, State]
Update = Callable[[Tensor, Memory], tuple[Tensor, Memory]]


def init(vector: Tensor) -> State:
    """Return the scale, and the number of steps since it changed."""
    return {"scale": vector.new_tensor(_FIRST), "steps": vector.new_zeros(())}


def scale_of(memory: Memory) -> Tensor | float:
    """Return what the gradients of the next step are scaled by: 1 where none are."""
    return memory[KEY]["scale"] if KEY in memory else 1.0


def update(rule: Update, grads: Tensor, state: Memory) -> tuple[Tensor, Memory]:
    """Return the step of a rule for scaled gradients; where they are infinite, none."""
    scale, steps = state[KEY]["scale"], state[KEY]["steps"]
    finite = grads.isfinite().all()
    change, after = rule(grads / scale, state)
    kept = {
        name: {key: torch.where(finite, value, state[name][key]) for key, value in memory.items()}
        for name, memory in after.items()
    }
    steps = torch.where(finite, steps + 1, 0)
    grown = torch.where(steps >= _PATIENCE, 2 * scale, scale)
    kept[KEY] = {
        "scale": torch.where(finite, grown, scale / 2),
        "steps": torch.where(steps >= _PATIENCE, 0, steps),
    }
    return torch.where(finite, change, 0), kept
