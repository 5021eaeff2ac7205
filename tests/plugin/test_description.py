"""Settings as plain data, and plugins made again from it."""

import dataclasses
import json

import pytest
from composed import compose
from fitting import PRESETS

from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.plugin.description import describe, flatten, restore
from experiments.plugin.kinds import Plugin

KINDS_AND_NAMES = [
    (kind, name) for kind in registry.KINDS for name in sorted(registry.plugins(kind))
]


def _with_values(cls: type[Plugin]) -> Plugin:
    """Return a plugin with its defaults, and text where it has none."""
    needed = [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return cls(**dict.fromkeys(needed, "text"))


@pytest.mark.parametrize(("kind", "name"), KINDS_AND_NAMES)
def test_every_plugin_comes_back_equal_from_its_description(kind: str, name: str) -> None:
    if name in PRESETS:
        plugin = getattr(compose([f"{kind}={PRESETS[name]}"]), kind)
    else:
        plugin = _with_values(registry.lookup(kind, name))
    description = json.loads(json.dumps(describe(plugin)))
    assert description["plugin"] == f"{kind}/{name}"
    assert restore(description) == plugin


def test_a_description_keeps_values_that_are_no_defaults() -> None:
    plugin = compose(["model=mlp", "model.hidden=[3,5]"]).model
    assert describe(plugin) == {"plugin": "model/mlp", "hidden": [3, 5], "init_scale": 1.0}
    assert restore(describe(plugin)) == plugin


def test_a_description_of_an_absent_plugin_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mlp'"):
        restore({"plugin": "model/mlpp"})


def test_a_description_of_a_whole_experiment_is_plain_and_names_every_plugin() -> None:
    description = describe(compose(["optimizer=adam", "transform=[clip_norm]"]))
    assert json.loads(json.dumps(description)) == description
    assert description["optimizer"]["plugin"] == "optimizer/adam"
    assert description["transform"]["clip_norm"]["plugin"] == "transform/clip_norm"
    assert description["evaluate"]["unit"] == "epoch"


def test_flat_names_are_dotted_and_a_plugin_stands_under_its_place() -> None:
    tree = {
        "seed": 1,
        "model": {"plugin": "model/mlp", "hidden": [2]},
        "transform": {"clip_norm": {"plugin": "transform/clip_norm", "max_norm": 1.0}},
        "metric": {},
    }
    assert flatten(tree) == {
        "seed": 1,
        "model": "mlp",
        "model.hidden": [2],
        "transform.clip_norm": "clip_norm",
        "transform.clip_norm.max_norm": 1.0,
    }
