"""A value is taken in a sweep as it is alone, and refused in the same words."""

import pytest
from composed import ROOT, SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.config.compose import publish
from experiments.errors import ConfigError
from experiments.sweeps.plan import plan

BASE = [*SMALL, "model=mlp", "optimizer=adam", "schedule=one_cycle"]
GOOD = {"seed": "3", "optimizer.lr": "0.25", "schedule.rise": "0.25"}
VALUES = ["1.5", "1e3", "5.", "true", "null", "inf", "nan", "-1", "text", "9999999999999999999"]
KEYS = [*GOOD, "epochs", "batch_size", "model.dropout", "evaluate.every"]


def said(line: str, *, multirun: bool) -> str | None:
    """Return what is said against the value of a setting."""
    publish(ROOT, "test")
    try:
        made = plan(ROOT, "config", [*BASE, line], multirun=multirun)
    except ConfigError as error:
        return str(error)
    return next(iter(made.wrong.values()), None)


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_beside_another_is_said_the_same_of_as_alone(key: str, value: str) -> None:
    beside = said(f"{key}={GOOD[key]},{value}", multirun=True)
    assert beside == said(f"{key}={value}", multirun=False)


@given(key=st.sampled_from(KEYS), value=st.from_regex(r"-?[1-9]\d{0,24}(\.\d)?", fullmatch=True))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_one_value_of_a_sweep_is_said_the_same_of_as_alone(key: str, value: str) -> None:
    assert said(f"{key}={value}", multirun=True) == said(f"{key}={value}", multirun=False)


@pytest.mark.parametrize("key", ["seed", "epochs", "batch_size", "optimizer.lr"])
def test_a_number_beyond_every_type_is_refused(key: str) -> None:
    for line in (f"{key}={'1' * 400}", f"{key}=1,{'1' * 400}"):
        told = said(line, multirun="," in line)
        assert told is not None
        assert "\n" not in told
