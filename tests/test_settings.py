"""Every setting declares what it decides, and what runs may differ in that train together."""

import dataclasses
from typing import Any

import pytest

from experiments.plugin import registry
from experiments.settings import Decides, Experiment, Vary, decided_by, setting, taken_several


def undeclared(cls: Any) -> set[str]:
    """Name the fields of a class that do not say what they decide."""
    return {
        field.name
        for field in dataclasses.fields(cls)
        if not isinstance(field.metadata.get("decides"), Decides)
        or not isinstance(field.metadata.get("vary"), Vary)
    }


def test_every_setting_declares_what_it_decides() -> None:
    assert not undeclared(Experiment)


def test_a_setting_that_declares_nothing_is_found() -> None:
    @dataclasses.dataclass
    class Settings:
        seed: int = setting(Decides.result, 0)
        late: int = 3

    assert undeclared(Settings) == {"late"}


@pytest.mark.parametrize(
    ("key", "decides"),
    [
        ("optimizer.lr", Decides.result),
        ("+schedule@schedules.beta1", Decides.result),
        ("model", Decides.fit),
        ("data.workers", Decides.fit),
        ("experiment", Decides.fit),
        ("checkpoint.every", Decides.course),
        ("tracking.name", Decides.place),
        ("hydra.sweep.dir", Decides.place),
        ("hydra/launcher", Decides.place),
        ("output", Decides.place),
    ],
)
def test_a_key_of_a_command_line_has_the_declaration_of_its_setting(
    key: str, decides: Decides
) -> None:
    assert decided_by(key) is decides


def test_a_kind_of_which_there_are_several_is_told_by_its_type() -> None:
    assert taken_several() & registry.KINDS.keys() == {"transform", "augment", "metric"}
