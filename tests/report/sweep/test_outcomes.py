"""Outcomes: which count, how they are grouped, and under which names they are shown."""

import math
from dataclasses import replace

import pytest
from jobs import EXTREMES, job

from experiments.report.sweep.outcomes import lost_rows, ranked, repeated_over, short_names, swept


@pytest.mark.parametrize("value", EXTREMES)
def test_a_value_counts_if_it_can_be_drawn(value: float) -> None:
    assert job(value).is_scored == (math.isfinite(value) and abs(value) <= 1e250)
    assert not job(value, "diverged").is_scored


def test_jobs_are_grouped_over_seeds_and_ranked_by_their_median() -> None:
    jobs = [job(value, lr=lr) for lr, value in ((1, 0.5), (2, 0.9), (1, 0.7), (1, 0.8), (2, 0.1))]
    assert [[one.value for one in group] for group in ranked(jobs, higher_is_better=True)] == [
        [0.5, 0.7, 0.8],
        [0.9, 0.1],
    ]
    assert ranked(jobs, higher_is_better=False)[0][0].value == 0.9


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_a_group_gains_nothing_by_losing_its_bad_seeds(higher_is_better: bool) -> None:
    good = 0.99 if higher_is_better else 0.01
    jobs = [job(0.5, lr=1), job(0.5, lr=1), job(good, lr=2), job(math.nan, "diverged", lr=2)]
    best, _ = ranked(jobs, higher_is_better=higher_is_better)
    assert best[0].settings == {"lr": "1"}


def test_names_are_short_where_that_tells_them_apart() -> None:
    assert short_names(["optimizer.lr", "schedule.lr", "data.batch_size", "model"]) == {
        "optimizer.lr": "optimizer.lr",
        "schedule.lr": "schedule.lr",
        "data.batch_size": "batch_size",
        "model": "model",
    }


def test_repetitions_are_named_by_what_they_differ_in() -> None:
    fold = replace(job(1), repeat={"dataset.fold": "1", "seed": "0"})
    assert repeated_over([job(1)]) == "seeds"
    assert repeated_over([fold]) == "folds and seeds"
    assert repeated_over([]) == "jobs"


def test_all_settings_are_found_in_whichever_job_they_stand() -> None:
    assert swept([job(1, a=1), job(1, b=2, a=1)]) == ["a", "b"]


def test_the_lost_have_rows_beyond_the_worse_end() -> None:
    jobs = [job(1, "pruned"), job(1, "odd"), job(1, "diverged"), job(math.nan), job(1)]
    up, down = (lost_rows(jobs, higher_is_better=higher) for higher in (False, True))
    assert list(up) == list(down) == ["diverged", "pruned", "no value", "odd"]
    assert sorted(up.values()) == list(up.values())
    assert min(up.values()) > 1
    assert max(down.values()) < 0
