"""What diagnostics keep between steps, in a rule's memory: so lanes and checkpoints have it too."""

from collections.abc import Sequence

import torch

from experiments.data.seeds import generator
from experiments.rules.chain import Memory
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.settings import Experiment
from experiments.training.diagnostics import layers, noise

KEY = "diagnostics"


def initial(experiments: Sequence[Experiment], rule: Rule, params: Params) -> Memory:
    """Return the memory of a rule before the first step, with that of diagnostics, if there are.

    `gradient` is that of the step before one that is measured, `layers` what was measured last, at
    step `t` (0: nothing yet), `means` are those of the noise scale, `direction` is the sharpest.
    """
    memory, settings = rule.init(params.vector), experiments[0].diagnostics
    if settings.every is None:
        return memory
    vector = params.vector
    rows = (*vector.shape[:-1], len(params.layout.places) + 1)
    own = {"gradient": torch.zeros_like(vector)}
    own["layers"] = vector.new_zeros(*rows, len(names(experiments[0])))
    own["t"] = torch.zeros(vector.shape[:-1], dtype=torch.int64, device=vector.device)
    if settings.noise_scale:
        own["means"] = vector.new_zeros(*rows, 2)
    if settings.sharpness:
        drawn = [
            torch.randn(vector.shape[-1:], generator=generator(each.seed, KEY))
            for each in experiments
        ]
        own["direction"] = params.axis.join(drawn).to(vector)
        own["sharpness"] = vector.new_zeros(vector.shape[:-1])
    return memory | {KEY: own}


def names(experiment: Experiment) -> tuple[str, ...]:
    """Name what is measured of each layer."""
    return (*layers.NAMES, *(noise.NAMES if experiment.diagnostics.noise_scale else ()))
