"""What a run prints of its data before the first step, and of itself after the last."""

import logging
import math
from collections.abc import Iterator

from experiments.report import summary
from experiments.runs.result import Result
from experiments.text import rounded
from experiments.training.evaluation import without_inputs
from experiments.training.history import History
from experiments.training.session import Session


def announce_data(session: Session, log: logging.Logger) -> None:
    """Print what the data are and why, what else was found in them, and what is doubtful."""
    log.info("data     %s", summary.data_line(session.splits))
    for note in session.splits.notes:
        log.info("data     %s", note)
    for doubt in session.doubts:
        log.warning("%s", doubt)


def announce(session: Session, result: Result, history: History, log: logging.Logger) -> list[str]:
    """Print the result table and why the run ended; return all that makes its numbers doubtful."""
    log.info("\n%s\n", summary.metrics_table(result.metrics))
    best = f"{history.monitor} {rounded(result.value)} at step {history.best_step}"
    log.info("best     %s", best)
    log.info("stopped  %s, after %d steps and %.1f s", result.reason, result.step, result.seconds)
    vain = list(_vain(session, result))
    for doubt in vain:
        log.warning("%s", doubt)
    return [*session.doubts, *vain]


def _vain(session: Session, result: Result) -> Iterator[str]:
    """Say where the best that a model has come to is no better than to look at no input."""
    if found := without_inputs(session):
        answer, value = found
        better = result.value > value if result.higher_is_better else result.value < value
        if not (better or math.isnan(value)):
            yield (
                f"{result.monitor} {rounded(result.value)} is no better than always answering "
                f"{answer} ({rounded(value)})."
            )
