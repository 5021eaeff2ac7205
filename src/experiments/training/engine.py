"""How the steps of a run are taken: one by one, or several at once by one compiled program."""

from collections.abc import Iterator, Sequence
from itertools import islice

from experiments.data.transfer import Read
from experiments.plugin.spec import Tensors
from experiments.rules.evaluations import Examples
from experiments.training.diagnostics.measurement import watched
from experiments.training.loop import Step, descend
from experiments.training.program.program import Program
from experiments.training.program.stopwatch import Stopwatch, tell
from experiments.training.session import Session

_WARM_UP = 10  # steps taken one by one before the program is made, which tell its worth


def steps(session: Session, after: int = 0) -> Iterator[Step]:
    """Take the steps of a run after one of them, and yield what they leave behind."""
    device = session.experiment.device
    if device.compile or device.graph:
        taken = Engine(session, after).steps()
    else:
        taken = descend(
            session.model,
            session.loss_fn,
            session.rule,
            session.params,
            session.state,
            batches(session, after),
            first=after + 1,
        )
    is_plain = session.experiment.diagnostics.every is None
    return taken if is_plain else watched(session, taken)


def batches(session: Session, after: int = 0) -> Iterator[list[Examples]]:
    """Yield every step's batches: one, or with `accumulate` several whose gradients add up."""
    experiment, train = session.experiment, session.batches["train"]
    for epoch, skip in _epochs(session, after):
        remaining = train.epoch(epoch, session.seeds, skip)
        while parts := list(islice(remaining, experiment.accumulate)):
            yield parts


def _epochs(session: Session, after: int) -> Iterator[tuple[int, int]]:
    """Yield the epochs that are left after a step, each with the batches of it that are done."""
    done, steps = divmod(after, session.steps_per_epoch)
    for epoch in range(done + 1, session.experiment.epochs + 1):
        yield epoch, steps * session.experiment.accumulate if epoch == done + 1 else 0


class Engine:
    """Takes steps by a program wherever enough whole batches follow each other, else one by one.

    A program ends at each step after which the runner looks at the parameters. It takes none that
    is measured, nor the one before, as it keeps gradients to itself.
    """

    def __init__(self, session: Session, after: int = 0) -> None:
        self._session, self._state = session, session.state
        self._train = session.batches["train"]
        self._program = Program(session)
        self._one, self._many = Stopwatch(session.device), Stopwatch(session.device)
        self._t = after  # the last step taken

    def steps(self) -> Iterator[Step]:
        """Take the steps of every epoch."""
        experiment = self._session.experiment
        for epoch, skip in _epochs(self._session, self._t):
            keys = self._train.preprocessing.keys(self._session.seeds, epoch)
            remaining = self._train.reads(epoch, self._session.seeds, skip)
            waiting: list[list[Read]] = []
            while parts := list(islice(remaining, experiment.accumulate)):
                waiting.append(parts)
                last = self._t + len(waiting)
                is_full = len(waiting) == self._program.length or self._session.is_stop(last)
                if is_full or self._is_watched(last + 1):
                    yield from self._take(waiting, keys)
                    waiting = []
            yield from self._take(waiting, keys)

    def _take(self, waiting: Sequence[list[Read]], keys: Tensors) -> Iterator[Step]:
        arguments = (self._t + 1, self._state, waiting, keys)
        is_free = self._t >= _WARM_UP and not self._is_watched(self._t + len(waiting))
        if is_free and self._program.is_ready(*arguments):
            yield self._together(waiting, keys)
        else:
            yield from self._one_by_one(waiting, keys)

    def _is_watched(self, t: int) -> bool:
        return self._session.is_measured(t) or self._session.is_measured(t + 1)

    def _together(self, waiting: Sequence[list[Read]], keys: Tensors) -> Step:
        known = self._many.is_done
        with self._many.timing(len(waiting)):
            losses, norms = self._program.run(self._t + 1, self._state, waiting, keys)
        self._t += len(waiting)
        if self._many.is_done and not known:
            left = self._session.total_steps - self._t
            tell(self._one, self._many, making=self._program.seconds, left=left)
        return Step(self._t, losses, lambda: norms, self._state)

    def _one_by_one(self, waiting: Sequence[list[Read]], keys: Tensors) -> Iterator[Step]:
        session = self._session
        steps = descend(
            session.model,
            session.loss_fn,
            session.rule,
            session.params,
            self._state,
            ([self._train.batch(read, keys) for read in parts] for parts in waiting),
            first=self._t + 1,
        )
        for _ in waiting:
            with self._one.timing(1):
                step = next(steps)
            self._t, self._state = step.t, step.state
            yield step
