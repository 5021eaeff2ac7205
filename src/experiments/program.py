"""Several steps of training as one function of tensors, which can be captured and compiled.

The function runs the loop itself, `descend`, on what it is given: parameters, the rule's memory,
its numbers, and the items of each batch. It changes the parameters, the memory and the buffers in
place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments.batches import Read, select
from experiments.interfaces import Tensors
from experiments.loop import Batch, descend
from experiments.params import Params
from experiments.rule import Memory
from experiments.setup import Session


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known before the data: the rule's numbers, and those of n steps (time, schedules)."""

    rule: dict[str, Tensors]
    times: Tensor
    scheduled: Tensors

    def at(self, t: int) -> tuple[Tensor, Tensors]:
        """Return step `t` of the program's, counted from 0, as `Timetable.at` does."""
        return self.times[t], {name: row[..., t] for name, row in self.scheduled.items()}


@dataclass(frozen=True, slots=True)
class Reads:
    """Where n steps' batches come from.

    `index` is [n, parts, B], in lanes [n, parts, K, B]; `stored` are the resident splits's tensors,
    or the items themselves, [n, parts, B, *item].
    """

    stored: Sequence[Tensor]
    index: Tensor
    keys: Tensors


class Program:
    """The function for one session; `resident` says what `Reads.stored` is."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._resident = session.batches["train"].resident is not None

    def __call__(
        self, numbers: Numbers, vector: Tensor, state: Memory, buffers: Tensors, reads: Reads
    ) -> tuple[Tensor, Tensor]:
        """Take the steps, and return their losses [n] and the change of the last one."""
        session = self._session
        losses = []
        after = state
        for step in descend(
            session.model.bound(buffers),
            session.loss_fn,
            session.rule.bound(numbers.rule, numbers),
            session.params.fresh(vector),
            state,
            self._batches(reads),
            first=0,
        ):
            losses.append(step.losses)
            after = step.state
        for name, memory in state.items():
            for key, tensor in memory.items():
                tensor.copy_(after[name][key])
        return torch.cat(losses), step.change

    def _batches(self, reads: Reads) -> Iterator[list[Batch]]:
        augmented = self._session.batches["train"].preprocessing.augmented
        for n in range(len(reads.index)):
            parts = range(reads.index.shape[1])
            yield [augmented(*self._read(reads, n, part), reads.keys) for part in parts]

    def _read(self, reads: Reads, n: int, part: int) -> Read:
        index = reads.index[n, part]
        if self._resident:
            return select(reads.stored, index)
        inputs, targets = (tensor[n, part] for tensor in reads.stored)
        return inputs, targets, index
