"""An error that a plugin raises names its plugin, its file and its line."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.errors import ConfigError, ExperimentError, FullError, StorageError
from experiments.plugin import failure
from experiments.plugin.discovery import discover, import_file
from experiments.plugin.registry import lookup

ROOT = Path(__file__).parents[2]
RULE = """
import json
import torch
from torch import nn
from experiments import Loss, Model, Optimizer, register

def added(tensor):
    return tensor + torch.zeros(4)

@register("wrong")
class Wrong(Optimizer):
    lr: float = 0.1

    def init(self, param):
        return added(torch.zeros(3))

    def update(self, grad, param, state, t):
        json.loads("{")

@register("wrong")
class Network(Model):
    def build(self, spec):
        return Layer()

    def check(self):
        raise ValueError("on purpose")

class Layer(nn.Module):
    def forward(self, inputs):
        return self.missing
"""


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    request.getfixturevalue("own_registry")
    path = tmp_path / "wrong.py"
    path.write_text(RULE)
    import_file(path)
    monkeypatch.chdir(tmp_path)
    return path


def raised(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


@pytest.mark.usefixtures("file")
def test_the_line_is_the_plugins_however_deep_the_error_is() -> None:
    optimizer = lookup("optimizer", "wrong")()
    inner = failure.explained(raised(lambda: optimizer.init(None)))  # type: ignore[attr-defined]
    assert type(inner) is ExperimentError
    assert str(inner).startswith("optimizer=wrong: RuntimeError: The size of tensor a (3)")
    assert str(inner).endswith("(wrong.py:8: `return tensor + torch.zeros(4)`)")
    update = optimizer.update  # type: ignore[attr-defined]
    outer = failure.explained(raised(lambda: update(0, 0, 0, 0)))
    assert str(outer).startswith("optimizer=wrong: JSONDecodeError: Expecting property name")
    assert str(outer).endswith("""(wrong.py:18: `json.loads("{")`)""")


@pytest.mark.usefixtures("file")
def test_a_network_beside_several_plugins_is_told_by_its_line() -> None:
    network = lookup("model", "wrong")().build(None)  # type: ignore[attr-defined]
    told = str(failure.explained(raised(lambda: network(torch.zeros(1)))))
    assert told.startswith("plugin: AttributeError: 'Layer' object has no attribute 'missing'")
    assert told.endswith("(wrong.py:30: `return self.missing`)")


@pytest.mark.usefixtures("file")
def test_what_is_raised_on_purpose_speaks_for_itself() -> None:
    model = lookup("model", "wrong")()
    wanted = raised(model.check)  # type: ignore[attr-defined]
    assert failure.reason(wanted) == "on purpose"
    assert failure.told(wanted).endswith("""(wrong.py:26: `raise ValueError("on purpose")`)""")


def test_an_error_of_no_plugin_stays_what_it_is() -> None:
    for error in (raised(lambda: int("x")), ConfigError("no"), raised(lambda: torch.zeros(2) @ 1)):  # type: ignore[operator]
        assert failure.explained(error) is error
        assert failure.place_of(error) is None


def test_an_error_of_the_system_says_what_to_mend() -> None:
    full = failure.explained(OSError(errno.ENOSPC, "No space", "a/file"))
    assert isinstance(full, FullError)
    assert str(full) == "a/file cannot be written: No space."
    assert isinstance(failure.explained(PermissionError(errno.EACCES, "no")), StorageError)
    told = str(failure.explained(RuntimeError("CUDA out of memory.\nTried 2 GiB")))
    assert told.endswith("needs less. (CUDA out of memory. Tried 2 GiB)")


def test_a_file_that_does_not_import_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import json\n\njson.loads('{')\n")
    told = rf"{tmp_path}.broken.py does not import: JSONDecodeError.*broken.py:3: `json.loads"
    with pytest.warns(UserWarning, match=told.replace(os.sep, ".")):
        discover(ROOT, [str(tmp_path)])


@pytest.mark.parametrize(
    "ask",
    [
        lambda t: t.sum().item(),
        lambda t: 1 if t.sum() > 0 else 2,
        lambda t: float(t.sum()),
        lambda t: t.numpy(),
        lambda t: t.tolist(),
        lambda t: t[t > 0],
    ],
)
def test_asking_for_values_in_lanes_is_known_by_what_torch_says(
    ask: Callable[[Tensor], object],
) -> None:
    error = raised(lambda: torch.func.vmap(lambda t: (ask(t), t)[1])(torch.ones(2, 3)))
    assert failure.needs_values(error), str(error)
