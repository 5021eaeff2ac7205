"""Several steps of training as one function of tensors, which is captured, compiled and called.

The function runs the loop itself, `descend`, on what it is given: parameters, the rule's memory
and numbers, and the items of each batch. It changes parameters, memory and buffers in place.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from experiments.data.transfer import Read
from experiments.errors import CaptureError
from experiments.plugin.spec import Tensors, Unit
from experiments.rules.chain import Memory
from experiments.training.loop import descend
from experiments.training.session import Session
from experiments.training.trajectory import is_plane

log = logging.getLogger(__name__)

Call = Callable[..., Sequence[Tensor]]
Nest = Any  # tensors in dictionaries, lists and tuples

_MOST_STEPS = 10  # of one program: beyond that compiling takes longer than it saves
_MOST_TENSORS = 20  # in all its steps, for each of which kernels are compiled


class Program:
    """Takes `length` steps at a call; it is made when it is first needed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._train = session.batches["train"]
        self.length = self._longest()
        self.seconds = 0.0  # that making it took
        self._call: Call | None = None
        self._failed = False

    def is_ready(self, t: int, state: Memory, steps: Sequence[list[Read]], keys: Tensors) -> bool:
        """Say whether the program can take these steps, and make it if there is none yet."""
        if self._failed or not self._fits(steps):
            return False
        if self._call is None:
            started = time.perf_counter()
            try:
                self._call = self._made(self._nest(t, state, steps, keys))
            except CaptureError as error:
                self._failed = True
                setting = "compile" if self._session.experiment.device.compile else "graph"
                warnings.warn(f"device.{setting}=true: {error}; the run goes on.", stacklevel=2)
                return False
            self.seconds = time.perf_counter() - started
            log.info("program  of %d steps made in %.1f s", self.length, self.seconds)
        return True

    def run(
        self, t: int, state: Memory, steps: Sequence[list[Read]], keys: Tensors
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take the steps from `t` on; return losses [n] and the norms of the last step."""
        assert self._call is not None
        *losses, change, gradient = self._call(*flat(self._nest(t, state, steps, keys)))
        return torch.cat(losses), (change, gradient)

    def _longest(self) -> int:
        """Choose a length that fits between two looks at the losses."""
        if is_plane(self._session.params):  # whose place after each step is recorded
            return 1
        most = max(1, min(_MOST_STEPS, _MOST_TENSORS // len(self._session.params.layout.places)))
        experiment = self._session.experiment
        whole = self._train.size // (experiment.batch_size * experiment.accumulate)
        between = max(1, min(experiment.log_every, whole))
        if experiment.evaluate.unit is Unit.step:
            between = min(between, experiment.evaluate.every)
        return max(range(1, most + 1), key=lambda n: (between // n * n, n))

    def _fits(self, steps: Sequence[list[Read]]) -> bool:
        experiment = self._session.experiment
        sizes = [[experiment.batch_size] * experiment.accumulate] * self.length
        return [[index.shape[-1] for _, _, index in parts] for parts in steps] == sizes

    def _made(self, nest: Nest) -> Call:
        def take(*tensors: Tensor) -> list[Tensor]:
            return self._take(*refilled(nest, iter(tensors)))

        session = self._session
        if session.rule.looking and self._draws():
            told = f"{session.rule.looking} looks again at a batch"
            raise CaptureError(f"{told} for which the model draws random numbers")
        device, tensors = session.experiment.device, flat(nest)
        call: Call = take
        if device.compile:
            from experiments.training.program.inductor import compiled

            call = compiled(take, tensors, early=len(flat(nest[0])))
        if device.graph:
            from experiments.training.program.cudagraph import captured

            call = captured(call, tensors)
        return call

    @torch.no_grad()
    def _draws(self) -> bool:
        session = self._session
        inputs, _ = self._train.first(2)
        return session.model.draws(session.params.tensors, session.axis.same(inputs))

    def _nest(self, t: int, state: Memory, steps: Sequence[list[Read]], keys: Tensors) -> Nest:
        """Gather what the steps depend on; first what is known before the data."""
        session, rule = self._session, self._session.rule
        clock = [rule.clock(t + n) for n in range(self.length)]
        changed = (session.params.vector, state, session.model.buffers)
        if self._train.resident is None:
            return (rule.numbers, clock), changed, keys, (), steps
        # The split comes once: each batch is the places of its items.
        places = [[index for _, _, index in parts] for parts in steps]
        return (rule.numbers, clock), changed, keys, self._train.resident, places

    def _take(
        self, known: Nest, changed: Nest, keys: Tensors, split: Nest, items: Nest
    ) -> list[Tensor]:
        """Take the steps, and return the losses of each and the norms of the last."""
        session, (numbers, clock), (vector, state, buffers) = self._session, known, changed
        reads = [[(*split, item) if split else item for item in parts] for parts in items]
        steps = descend(
            session.model.bound(buffers),
            session.loss_fn,
            session.rule.bound(numbers, clock),
            session.params.over(vector),
            state,
            ([self._train.batch(read, keys) for read in parts] for parts in reads),
            first=0,
        )
        taken = [next(steps) for _ in reads]  # of which the last has its gradient still
        for old, new in zip(flat(state), flat(taken[-1].state), strict=True):
            old.copy_(new)
        return [*(step.losses for step in taken), *taken[-1].norms()]


def flat(nest: Nest) -> list[Tensor]:
    """Return the tensors of nested dictionaries, by name, and lists and tuples, in their order."""
    tensors: list[Tensor] = []
    _collect(nest, tensors)
    return tensors


def _collect(nest: Nest, tensors: list[Tensor]) -> None:
    # By name: a rule may give its memory back in another order.
    for part in [nest[key] for key in sorted(nest)] if isinstance(nest, dict) else nest:
        if isinstance(part, Tensor):
            tensors.append(part)
        else:
            _collect(part, tensors)


def refilled(nest: Nest, tensors: Iterator[Tensor]) -> Nest:
    """Return the nest with other tensors in the order of `flat`."""
    if isinstance(nest, Tensor):
        return next(tensors)
    if isinstance(nest, dict):
        return {key: refilled(nest[key], tensors) for key in sorted(nest)}
    return [refilled(part, tensors) for part in nest]
