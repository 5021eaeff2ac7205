"""What jumps where a run goes on under other settings: the numbers that a schedule governs."""

import logging
import math
from collections.abc import Iterator

from experiments.runs.tracker import Tracker
from experiments.text import shortened
from experiments.training.resume import Earlier
from experiments.training.session import Session

_SAME = 1e-6  # of a number, by which devices may differ


def tell_jumps(
    earlier: Earlier, session: Session, place: int, tracker: Tracker, log: logging.Logger
) -> None:
    """Say in one line which scheduled numbers a run has left at another value than it goes on with.

    `place` is the run's among the lanes of the session.
    """
    if found := "; ".join(_jumps(earlier, session, place)):
        log.warning("%s (%s)", found, shortened("; ".join(earlier.changes)) or "other settings")
        tracker.add("tags", values={"resumed.jumps": found})


def _jumps(earlier: Earlier, session: Session, place: int) -> Iterator[str]:
    """Yield each number that was another at the last step that was looked at."""
    for name, (step, before) in _last(earlier).items():
        _, scheduled = session.rule.clock(step)
        if name not in scheduled:
            continue
        now = session.axis.values(scheduled[name])[place]
        if not math.isclose(before, now, rel_tol=_SAME):
            yield f"{name} jumps at step {step} from {before:.4g} to {now:.4g}"


def _last(earlier: Earlier) -> dict[str, tuple[int, float]]:
    """Return the numbers of an earlier part of a run as they were last, and at which step."""
    reached = int(earlier.content[1]["step"]) if earlier.content else 0
    return {
        name: (event["step"], value)
        for event in earlier.events
        if event["event"] == "metrics" and 0 < event["step"] <= reached
        for name, value in event["values"].items()
    }
