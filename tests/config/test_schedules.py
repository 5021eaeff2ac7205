"""A schedule of a number other than `lr`: what is typed wrongly says how it is written."""

import pytest
from composed import ROOT
from refusals import judged

from experiments.cli import main


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("schedules.beta1=cosine", "write +schedule@schedules.beta1=NAME to give a number"),
        ("+schedules.beta1=cosine", "write +schedule@schedules.beta1=NAME to give a number"),
        ("schedules.beta1.final=0.5", "write +schedule@schedules.beta1=NAME to give a number"),
        ("+schedule@schedules.bta1=cosine", "schedules.bta1: it is no schedulable number of the "
         "rule; did you mean 'beta1'? Allowed: beta1, beta2, eps."),
        ("+schedule@schedules.lr=cosine", "use schedule=... for lr"),
        ("+schedule@schedules.beta1=cosin", "did you mean 'cosine'?"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_says_how_to_give_one(
    line: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    status = main.command(ROOT, ["optimizer=adam", "tracking=none", line])
    assert told in judged(status, capsys.readouterr().err)
