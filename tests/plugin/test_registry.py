"""The registry: a plugin's kind and name, and what is said of a wrong one."""

import copy
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from composed import compose, execute
from torch import Tensor

from experiments import (
    ConfigError,
    Loss,
    Optimizer,
    State,
    Task,
    lookup,
    options,
    plugins,
    register,
)
from experiments.plugin.description import describe, restore
from experiments.plugin.discovery import import_file
from experiments.plugin.kinds import Plugin
from experiments.plugin.registry import KINDS, kind_of, name_of, source
from experiments.runs.tracker import InMemory

CODE = '''
from experiments import Loss, register


@register("{name}")
class {cls}(Loss):
    """A loss."""

    def __call__(self, outputs, targets):
        return outputs.sum()
'''


def imported(folder: Path, file: str, name: str, cls: str = "One") -> Path:
    path = folder / f"{file}.py"
    path.write_text(CODE.format(name=name, cls=cls))
    import_file(path)
    return path


@pytest.mark.usefixtures("own_registry")
def test_registering_makes_a_keyword_only_dataclass_and_files_it() -> None:
    @register("sum")
    class Sum(Loss):
        """The sum."""

        tasks = frozenset(Task)
        weight: float = 2.0

        def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return self.weight * outputs.sum()

    assert lookup("loss", "sum") is Sum
    assert (kind_of(Sum), name_of(Sum), source(Sum)) == ("loss", "sum", __file__)
    assert [field.name for field in dataclasses.fields(Sum)] == ["weight"]
    assert Sum(weight=3.0) != Sum()
    with pytest.raises(TypeError, match="positional"):
        Sum(3.0)  # type: ignore[misc]


@pytest.mark.usefixtures("own_registry")
def test_two_files_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    first = imported(tmp_path, "first", "taken")
    with pytest.raises(ConfigError, match="loss=taken") as caught:
        imported(tmp_path, "second", "taken")
    assert str(first) in str(caught.value)
    assert str(tmp_path / "second.py") in str(caught.value)
    assert source(lookup("loss", "taken")) == str(first)


@pytest.mark.usefixtures("own_registry")
def test_one_name_may_serve_several_kinds_and_a_file_may_be_read_again(tmp_path: Path) -> None:
    first = imported(tmp_path, "first", "sgd")
    imported(tmp_path, "first", "sgd")
    assert source(lookup("loss", "sgd")) == str(first)
    assert lookup("optimizer", "sgd") is not lookup("loss", "sgd")


@pytest.mark.usefixtures("own_registry")
def test_a_class_of_no_kind_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"Other derives from none of: dataset, .*transform"):

        @register("other")
        class Other(Plugin):
            """Of no kind."""


@pytest.mark.parametrize(("kind", "base"), KINDS.items())
def test_every_plugin_of_a_kind_derives_from_its_base(kind: str, base: type[Plugin]) -> None:
    found = plugins(kind)
    assert found
    assert all(issubclass(plugin, base) for plugin in found.values())
    assert all(name_of(plugin) == name for name, plugin in found.items())


def test_the_plugins_returned_are_a_copy() -> None:
    plugins("optimizer").clear()
    assert issubclass(lookup("optimizer", "sgd"), Optimizer)


def test_a_wrong_name_is_told_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"no optimizer=adm; did you mean 'adam'\?") as caught:
        lookup("optimizer", "adm")
    assert str(caught.value).endswith(f"Allowed: {', '.join(sorted(plugins('optimizer')))}.")


@pytest.mark.parametrize(
    ("got", "allowed", "said"),
    [
        ("b", ["c", "a"], "Allowed: a, c."),
        ("momentun", ["sgd", "momentum"], "did you mean 'momentum'? Allowed: momentum, sgd."),
        ("x", [], "Allowed: none."),
    ],
)
def test_what_is_allowed_is_phrased_with_the_nearest_first(
    got: str, allowed: list[str], said: str
) -> None:
    assert options(got, allowed) == said


def test_the_code_of_a_class_without_a_file_is_the_same_each_time() -> None:
    code = """
import sys
from experiments import Optimizer
from experiments.plugin import registry

class Cell(Optimizer):
    def update(self, grad, param, state, t):
        return sorted([grad], key=lambda one: one.CONSTANT)[0], {k: v for k, v in state.items()}

Cell.__module__ = "nowhere"
print(registry.source(Cell), registry.code_of(Cell).hex())
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", code.replace("CONSTANT", constant)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for constant in ("a", "a", "b")
    }
    assert len(found) == 2
    assert all(text.startswith("<nowhere> ") for text in found)


PARTS = {
    "dataset": "digits",
    "model": "linear",
    "optimizer": "momentum",
    "schedule": "cosine",
    "loss": "cross_entropy",
    "device": "cpu",
    "transform": "weight_decay",
    "augment": "noise",
    "metric": "accuracy",
}
CALLED = {
    "dataset": "load",
    "model": "build",
    "optimizer": "init",
    "schedule": "factor",
    "loss": "__call__",
    "device": "find",
    "transform": "init",
    "augment": "__call__",
    "metric": "value",
}


def _extended(kind: str) -> type[Plugin]:
    """Register a class that sets attributes of its own and calls what it extends by `super()`."""
    base: Any = lookup(kind, PARTS[kind])

    @register("own")
    class Own(base):  # type: ignore[misc]
        """Does what another plugin does, and counts how often."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.calls: list[str] = []

    def called(self: Any, *arguments: Any) -> Any:
        self.calls.append(kind)
        return getattr(super(Own, self), CALLED[kind])(*arguments)

    setattr(Own, CALLED[kind], called)
    return Own


@pytest.mark.usefixtures("own_registry")
def test_a_class_of_every_kind_may_use_super_and_keep_attributes(tmp_path: Path) -> None:
    assert PARTS.keys() == KINDS.keys()
    for kind in KINDS:
        _extended(kind)
    several = ("transform", "augment", "metric")
    lines = [f"{kind}=[own]" if kind in several else f"{kind}=own" for kind in KINDS]
    experiment = compose(
        [*lines, f"output={tmp_path}", "tracking=none", "epochs=1", "batch_size=500"]
    )
    execute(experiment, InMemory())
    for kind in KINDS:
        part: Any = getattr(experiment, kind)
        plugin = part["own"] if kind in several else part
        assert set(plugin.calls) == {kind}
        described = describe(plugin)
        assert "calls" not in described
        assert restore(described) == plugin
        assert copy.copy(plugin).calls is plugin.calls


@pytest.mark.usefixtures("own_registry")
def test_a_class_with_an_init_of_its_own_is_told_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"Own has an __init__ of its own: .* `lr: float = 0\.1`"):

        @register("own")
        class Own(Optimizer):
            """A rule."""

            def __init__(self) -> None:
                super().__init__(lr=0.1)

            def update(
                self, grad: Tensor, param: Tensor, state: State, t: Tensor
            ) -> tuple[Tensor, State]:
                return grad, state
