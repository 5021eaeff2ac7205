"""Settings of small runs that any rule and any transform of the registry can make."""

import math

import torch
from composed import SMALL
from torch import Tensor

from experiments import DataSpec, Model, Network, Scope, lookup, register
from experiments.plugin.rulepart import RulePart

PRESETS = {"route": "muon_adamw"}  # of rules that are nothing by themselves


def settings_for(kind: str, name: str) -> list[str]:
    """Return the settings of a run with an optimizer or a transform.

    One that must see all of the train split does; one that sees a parameter at a time has a model
    of matrices alone, which `register_matrices` makes.
    """
    plugin = lookup(kind, name)
    assert issubclass(plugin, RulePart)
    rule = f"optimizer={PRESETS.get(name, name)}"
    chosen = rule if kind == "optimizer" else f"transform=[{name}]"
    model = (
        ["model=matrices"] if plugin.scope is Scope.tensor else ["model=mlp", "model.hidden=[6]"]
    )
    batch = ["batch_size=70"] if plugin.full_batch else []
    return [*SMALL, chosen, "optimizer.lr=0.01", *model, *batch]


def register_matrices() -> None:
    """Register a model that has no vectors among its parameters."""

    @register("matrices")
    class Matrices(Model):
        """Two linear maps with a bend between them."""

        def build(self, spec: DataSpec) -> Network:
            shapes = {"inner": (6, spec.features), "outer": (spec.outputs, 6)}
            drawn = {n: torch.randn(shape) / math.sqrt(shape[1]) for n, shape in shapes.items()}
            return Network({n: t.requires_grad_() for n, t in drawn.items()}, self.forward)

        def forward(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
            return (inputs.flatten(1) @ params["inner"].T).tanh() @ params["outer"].T
