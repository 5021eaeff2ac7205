"""One live line while a run trains, where there is a terminal to show it."""

import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from experiments.training.loop import Step
from experiments.training.session import Session

_LINE = "{desc} |{bar:20}| {percentage:3.0f} % {rate_fmt} {remaining} left"


class Progress:
    """Shows epoch, step, last loss that was looked at, images a second, and the time left.

    Without a terminal on standard error it does nothing.
    """

    def __init__(self, session: Session) -> None:
        self._experiment = session.experiment
        self._steps_per_epoch = session.steps_per_epoch
        self._items = session.experiment.batch_size * session.experiment.accumulate
        self._total = session.total_steps * self._items
        self._stack = ExitStack()
        self._bar: Any = None
        self._hidden = False
        self._done = 0

    def after(self, step: int) -> "Progress":
        """Begin after a step that an earlier part of the run has taken."""
        self._done = step
        return self

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._total,
                initial=self._done * self._items,
                unit="img",
                unit_scale=True,
                leave=False,
                bar_format=_LINE,
            )
            self._stack.enter_context(self._bar)
            for handler in logging.getLogger().handlers:
                handler.addFilter(self._clear)
                self._stack.callback(handler.removeFilter, self._clear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, step: Step) -> None:
        """Count what a record of the loop stands for."""
        if self._bar is not None:
            self._bar.update(len(step.losses) * self._items)
            if self._hidden:
                self._bar.refresh()
                self._hidden = False

    def tell(self, t: int, losses: Sequence[float]) -> None:
        """Show the step that was looked at, and its loss, of several runs the span of theirs."""
        if self._bar is not None:
            epoch = (t - 1) // self._steps_per_epoch + 1
            span = dict.fromkeys(f"{loss:.4f}" for loss in (min(losses), max(losses)))
            text = f"epoch {epoch}/{self._experiment.epochs} step {t} loss {' to '.join(span)}"
            self._bar.set_description_str(text, refresh=False)

    def _clear(self, _: logging.LogRecord) -> bool:
        """Take the live line away before a line of the log; the next step brings it back."""
        self._bar.clear()
        self._hidden = True
        return True
