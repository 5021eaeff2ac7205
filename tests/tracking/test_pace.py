"""The uploader rests where it had to wait, unless the command waits for it."""

import threading
import time

import pytest

from experiments.tracking import pace
from experiments.tracking.pace import Pace


def rested(work: float, *, waits: bool = False, computes: bool = False) -> float:
    """Return the seconds of the rest after a portion of work."""
    command = threading.Event()
    if waits:
        command.set()
    paced = Pace(command)
    if computes:
        while time.process_time() < paced._own + work:
            pass
        paced._wall = time.monotonic() - (time.process_time() - paced._own)  # as on a free machine
    else:
        time.sleep(work)
    begun = time.monotonic()
    paced.rest()
    return time.monotonic() - begun


def test_a_portion_that_waited_is_rested_after() -> None:
    assert rested(0.02) >= 0.02 * pace._REST * 0.9


def test_a_rest_is_short_enough_to_be_done_in_time_among_others() -> None:
    assert rested(0.2) < 2


def test_a_rest_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_LONGEST", 0.05)
    assert 0.04 <= rested(0.2) < 0.35


def test_a_portion_that_computed_goes_on_at_once() -> None:
    assert rested(0.02, computes=True) < 0.05


def test_nobody_rests_while_the_command_waits() -> None:
    assert rested(0.02, waits=True) < 0.05
