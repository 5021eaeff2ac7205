"""What a plugin of each kind is and does.

torch is imported for types alone: the process that uploads results starts without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from experiments.plugin.bounds import number
from experiments.plugin.spec import (
    DataSpec,
    MemoryFormat,
    Network,
    Precision,
    Splits,
    Task,
    Unit,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from experiments.plugin.draws import Draws


@dataclass(kw_only=True, slots=True)
class Plugin(ABC):  # noqa: B024 - each kind adds its own abstract methods
    """A registered class whose fields are its configuration.

    It may keep other attributes, which are no settings.
    """

    def __post_init__(self) -> None:  # noqa: B027 - a plugin's own may call it by super()
        """Check the fields, and make what follows from them; raise ValueError."""


@dataclass(kw_only=True, slots=True)
class Dataset(Plugin):
    """Gives the train, val and test splits.

    `resident` splits are kept in memory and moved to the device once; otherwise a DataLoader feeds
    them batch by batch.
    """

    resident: bool = True

    @abstractmethod
    def load(self) -> Splits:
        """Return the splits; raise DataError where they are missing or damaged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landmarks:
    """What is known of the loss over the plane of two parameters: its lowest points.

    `box` is what to draw: x from the first number to the second, y from the third to the fourth.
    """

    minima: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(kw_only=True, slots=True)
class Model(Plugin):
    """Gives a network with fresh parameters, drawn from torch's default generator."""

    @abstractmethod
    def build(self, spec: DataSpec) -> nn.Module | Network:
        """Return the network; raise ValueError where it cannot take such inputs."""

    def landmarks(self) -> Landmarks:
        """Return what a picture shows of the loss beside the path of two parameters."""
        return Landmarks()


@dataclass(kw_only=True, slots=True)
class Augment(Plugin):
    """Changes the items of a training batch at random, all at once and on the device."""

    gives_shares: ClassVar[bool] = False  # for class targets, as shares [B, classes]

    def check(self, spec: DataSpec) -> None:
        """Raise ValueError where it cannot take such items."""

    @abstractmethod
    def __call__(
        self, inputs: Tensor, targets: Tensor, draws: Draws, spec: DataSpec
    ) -> tuple[Tensor, Tensor]:
        """Return new inputs and targets from normalised inputs [B, *item] and targets [B].

        Every random number comes from `draws`, so that an item is changed in the same way wherever
        it is read. Class targets may become shares [B, classes].
        """


@dataclass(kw_only=True, slots=True)
class Schedule(Plugin):
    """A factor on a number of the rule, as a function of time, after a linear warm-up."""

    in_steps: ClassVar[bool] = False  # whether `factor` counts in steps, whatever the unit

    warmup: float = number(0.0, at_least=0)
    unit: Unit = Unit.epoch

    @abstractmethod
    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        """Return the factor at each `time` since the warm-up, of `total`, both in `unit`.

        The first step is at time 0, the last one a step before `total`.
        """


@dataclass(kw_only=True, slots=True)
class Loss(Plugin):
    """The mean loss of a batch."""

    tasks: ClassVar[frozenset[Task]]
    takes_shares: ClassVar[bool] = False  # class targets as shares [B, classes], too

    def fit(self, spec: DataSpec) -> Loss:
        """Return the loss to use for such data."""
        return self

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return a scalar from outputs [B, classes] or [B, 1] and targets [B]."""


@dataclass(kw_only=True, slots=True)
class Metric(Plugin):
    """A figure of merit made of statistics that are joined over batches."""

    tasks: ClassVar[frozenset[Task]]
    default: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = True
    least: ClassVar[int] = 1  # items, of fewer of which it is undefined: NaN

    @abstractmethod
    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return a batch's sums, as a vector."""

    def join(self, total: Tensor, batch: Tensor) -> Tensor:
        """Return the statistics of two parts together, in float64; by default their sum."""
        return total + batch

    @abstractmethod
    def value(self, total: Tensor) -> Tensor:
        """Return the scalar that the joined statistics stand for."""


@dataclass(kw_only=True, slots=True)
class Device(Plugin):
    """Where tensors live and in which precision they are multiplied."""

    precision: Precision = Precision.fp32
    threads: int | None = number(None, at_least=1)
    deterministic: bool = False
    memory_format: MemoryFormat = MemoryFormat.auto
    compile: bool = False  # the steps of training become one program, by inductor
    graph: bool = False  # the steps become one CUDA graph

    @abstractmethod
    def find(self) -> torch.device:
        """Return the torch device; raise ConfigError where it is not there."""
