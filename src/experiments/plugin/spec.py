"""The records that pass between the parts: what data is, what a network is, and how to compute.

torch is imported for types alone: the process that uploads results starts without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor
    from torch.utils import data

Tensors: TypeAlias = "dict[str, Tensor]"
State: TypeAlias = "dict[str, Tensor]"


class Task(Enum):
    """What the targets of a data set are."""

    classification = "classification"
    regression = "regression"
    objective = "objective"  # the lowest loss of a split: outputs are the losses of its items


class Unit(Enum):
    """What a schedule counts in."""

    step = "step"
    epoch = "epoch"


class Interval(Enum):
    """What the time between two checkpoints is counted in."""

    step = "step"
    epoch = "epoch"
    minute = "minute"


class Scope(Enum):
    """What a rule sees at once: the vector of all parameters, or one parameter in its shape."""

    vector = "vector"
    tensor = "tensor"


class Precision(Enum):
    """The number format of the forward and backward pass."""

    fp32 = "fp32"
    tf32 = "tf32"
    bf16 = "bf16"
    fp64 = "fp64"
    fp16 = "fp16"


class Order(Enum):
    """Which batches an epoch after the first has: new ones, or the first epoch's again."""

    reshuffle = "reshuffle"
    fixed = "fixed"


class Sampling(Enum):
    """How often an item is trained on: once an epoch, or such that classes are equally frequent."""

    uniform = "uniform"
    balanced = "balanced"


class ClassWeights(Enum):
    """How much an item counts in a loss: by the rarity of its class."""

    balanced = "balanced"


class MemoryFormat(Enum):
    """How images and the weights of convolutions lie in memory."""

    auto = "auto"
    contiguous = "contiguous"
    channels_last = "channels_last"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """What a model needs to know of a data set.

    Shapes: `input_shape` is one item's, without the batch dimension, channels first; `mean` and
    `std` broadcast over one item and are in the units of the stored values (0 to 255 for bytes).
    A regression has one target an item, or one for each name in `targets`; a model learns
    (target - target_mean) / target_std, and metrics and predictions are in the data's own units.
    `counts` are the classes' items in the train split, where they are known.
    """

    input_shape: tuple[int, ...]
    task: Task
    classes: tuple[str, ...] = ()
    mean: Tensor | float = 0.0
    std: Tensor | float = 1.0
    targets: tuple[str, ...] = ()
    target_mean: Tensor | float = 0.0
    target_std: Tensor | float = 1.0
    counts: tuple[int, ...] = ()

    @property
    def features(self) -> int:
        """Count the numbers of one item."""
        return math.prod(self.input_shape)

    @property
    def outputs(self) -> int:
        """Count what a model returns for one item: a logit a class, or a number a target."""
        return len(self.classes) if self.task is Task.classification else max(1, len(self.targets))


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """A data set's parts; items are (input as stored, target).

    A `TensorDataset` is moved to the device once and indexed there; anything else is fed by a
    `DataLoader`, but where its items are `fixed`, the same at each reading: these are read once
    into tensors if they fit in memory. `source` is a file, a folder or words, and `files` are more
    that the items come from. `optimum` is the lowest training loss, where it is known.
    `reason` says why the task is what it is, and which setting changes it; `notes` are what else
    was found in the source, `warnings` what makes numbers doubtful: all are told and recorded.
    """

    spec: DataSpec
    train: data.Dataset[Any]
    val: data.Dataset[Any]
    test: data.Dataset[Any]
    source: str
    optimum: float | None = None
    fixed: bool = False
    files: tuple[str, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, data.Dataset[Any]]:
        """The items of each split by its name."""
        return {"train": self.train, "val": self.val, "test": self.test}


@dataclass(frozen=True, slots=True)
class Network:
    """Raw tensors, and the function that computes outputs [B, ...] from inputs [B, ...]."""

    tensors: Tensors
    forward: Callable[[Tensors, Tensor], Tensor]


class Batch(Protocol):
    """The batch of step `t`, at which a rule looks again; it sees the same dropout there.

    Parameters are those that the rule is given, in the same shape. A gradient counts as one
    evaluation, a product with the Hessian as two.
    """

    t: int
    value: Tensor  # the loss (0-d) at the parameters of the step, which the loop has computed

    def loss(self, param: Tensor) -> Tensor:
        """Return the loss (0-d) at other parameters."""

    def gradient(self, param: Tensor) -> Tensor:
        """Return the gradient at other parameters."""

    def loss_and_gradient(self, param: Tensor) -> tuple[Tensor, Tensor]:
        """Return both at once, for the price of the gradient."""

    def hvp(self, param: Tensor, vector: Tensor) -> Tensor:
        """Return the product of the Hessian at `param` with a vector."""

    def noise(self, like: Tensor) -> Tensor:
        """Draw standard normal numbers like a tensor, which seed and step decide."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Where one named parameter lies in the flat vector, and its role: weight, bias or norm."""

    name: str
    shape: torch.Size
    start: int
    role: str

    @property
    def stop(self) -> int:
        """The index after the parameter's last element."""
        return self.start + self.shape.numel()
