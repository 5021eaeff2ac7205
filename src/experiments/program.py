"""Several steps of training as one function of tensors, which is captured, compiled and called.

The function runs the loop itself, `descend`, on what it is given: parameters, the rule's memory
and numbers, and the items of each batch. It changes parameters, memory and buffers in place.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from experiments.batches import Read, select
from experiments.errors import CaptureError
from experiments.loop import Batch, descend
from experiments.records import Tensors
from experiments.rule import Memory
from experiments.setup import Session

log = logging.getLogger(__name__)

_MOST_STEPS = 10  # of one program: beyond that a call costs nothing any more
_MOST_TENSORS = 40  # in all its steps, as each takes its time to compile


class Numbers(NamedTuple):
    """What is known before the data: the rule's numbers, and what n steps' clock shows."""

    rule: dict[str, Tensors]
    times: Tensor
    scheduled: Tensors

    def at(self, t: int) -> tuple[Tensor, Tensors]:
        """Return the clock at step `t` of the program's, counted from 0, as a `Timetable` does."""
        return self.times[t], {name: row[..., t] for name, row in self.scheduled.items()}


class Reads(NamedTuple):
    """The items of n steps: `stored` is [n, parts, B, *item], or a resident split's tensors.

    `index` [n, parts, B], in lanes [n, parts, K, B], are the items' places in the split, `keys`
    those of the augmentations.
    """

    stored: tuple[Tensor, Tensor]
    index: Tensor
    keys: Tensors


class Program:
    """Takes `length` steps at a call; it is made when it is first needed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._train = session.batches["train"]
        self.length = self._longest()
        self.seconds = 0.0  # that making it took
        self._call: Callable[..., tuple[Tensor, Tensor, Memory]] | None = None
        self._failed = False

    def is_ready(self, t: int, state: Memory, steps: Sequence[list[Read]], keys: Tensors) -> bool:
        """Say whether the program can take these steps, and make it if there is none yet."""
        if self._failed or not self._fits(steps):
            return False
        if self._call is None:
            started = time.perf_counter()
            try:
                self._call = self._made(self._arguments(t, state, steps, keys))
            except CaptureError as error:
                self._failed = True
                warnings.warn(
                    f"device.compile=true: {error}; the run is not compiled.", stacklevel=2
                )
                return False
            self.seconds = time.perf_counter() - started
            log.info("compiled in %.1f s, %d steps a call", self.seconds, self.length)
        return True

    def run(
        self, t: int, state: Memory, steps: Sequence[list[Read]], keys: Tensors
    ) -> tuple[Tensor, Tensor, Memory]:
        """Take the steps from `t` on; return losses [n], the last change, and the memory."""
        assert self._call is not None
        return self._call(*self._arguments(t, state, steps, keys))

    def _longest(self) -> int:
        """Choose a length that fits between two looks at the losses."""
        most = _MOST_TENSORS // len(self._session.params.layout)
        most = max(1, min(_MOST_STEPS, most)) if self._train.resident is not None else 1
        between = self._session.experiment.log_every
        return max(range(1, most + 1), key=lambda n: (between // n * n, n))

    def _fits(self, steps: Sequence[list[Read]]) -> bool:
        experiment = self._session.experiment
        sizes = {index.shape[-1] for parts in steps for _, _, index in parts}
        whole = sizes == {experiment.batch_size}
        return whole and [len(parts) for parts in steps] == [experiment.accumulate] * self.length

    def _made(self, arguments: tuple[Any, ...]) -> Callable[..., tuple[Tensor, Tensor, Memory]]:
        call: Callable[..., Any] = self._take
        if self._session.experiment.device.compile:
            from experiments.compiled import compiled

            call = compiled(call, arguments[0], arguments[1:])
        if self._session.experiment.device.graph:
            from experiments.capture import captured

            return captured(call, arguments)
        return lambda *given: (*call(*given), given[2])

    def _arguments(
        self, t: int, state: Memory, steps: Sequence[list[Read]], keys: Tensors
    ) -> tuple[Any, ...]:
        rule = self._session.rule
        numbers = Numbers(rule.numbers, *rule.window(t, len(steps)))
        index = torch.stack([torch.stack([read[2] for read in parts]) for parts in steps])
        reads = Reads(self._stored(steps), index, keys)
        return numbers, self._session.params.vector, state, self._session.model.buffers, reads

    def _stored(self, steps: Sequence[list[Read]]) -> tuple[Tensor, Tensor]:
        if self._train.resident is not None:
            inputs, targets = self._train.resident
            return inputs, targets
        (parts,) = steps
        inputs, targets = (torch.stack([read[i] for read in parts])[None] for i in (0, 1))
        return inputs, targets

    def _take(
        self, numbers: Numbers, vector: Tensor, state: Memory, buffers: Tensors, reads: Reads
    ) -> tuple[Tensor, Tensor]:
        """Take the steps, and return their losses [n] and the change of the last one."""
        session = self._session
        taken = list(
            descend(
                session.model.bound(buffers),
                session.loss_fn,
                session.rule.bound(numbers.rule, numbers),
                session.params.over(vector),
                state,
                self._batches(reads),
                first=0,
            )
        )
        for name, memory in state.items():
            for key, tensor in memory.items():
                tensor.copy_(taken[-1].state[name][key])
        return torch.cat([step.losses for step in taken]), taken[-1].change

    def _batches(self, reads: Reads) -> Iterator[list[Batch]]:
        augmented = self._train.preprocessing.augmented
        steps, parts = reads.index.shape[:2]
        for n in range(steps):
            yield [augmented(*self._read(reads, n, part), reads.keys) for part in range(parts)]

    def _read(self, reads: Reads, n: int, part: int) -> Read:
        inputs, targets = reads.stored
        if self._train.resident is not None:
            return select((inputs, targets), reads.index[n, part])
        return inputs[n, part], targets[n, part], reads.index[n, part]
