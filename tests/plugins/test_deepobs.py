"""DeepOBS's networks: sizes, initial weights, and what they make of images before training."""

import math
from typing import Any

import pytest
import torch
from composed import ROOT, compose
from problems import spec
from torch import Tensor, nn

from experiments import Network, lookup
from experiments.rules.layout import initial_tensors
from experiments.training.network import build_network

REAL = ROOT.parent / "shared" / "data"
PIXELS, CIFAR = spec((1, 28, 28), 10), spec((3, 32, 32), 10)
IMAGES = {"deepobs_mlp": PIXELS, "deepobs_2c2d": PIXELS, "deepobs_3c3d": CIFAR}


def network(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return lookup("model", name)().build(IMAGES[name])  # type: ignore[attr-defined]


def parameters(name: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights and the biases of a network."""
    named = initial_tensors(network(name)).items()
    weights = [p.detach() for n, p in named if n.endswith("weight")]
    return weights, [p.detach() for n, p in named if n.endswith("bias")]


@pytest.mark.parametrize(
    ("name", "count"),
    [("deepobs_mlp", 1_336_610), ("deepobs_2c2d", 3_274_634), ("deepobs_3c3d", 895_210)],
)
def test_a_network_has_the_published_number_of_parameters(name: str, count: int) -> None:
    assert sum(p.numel() for p in initial_tensors(network(name)).values()) == count
    shape = IMAGES[name].input_shape
    assert network(name)(torch.zeros(2, *shape)).shape == (2, 10)


def test_logistic_regression_starts_at_zero() -> None:
    experiment = compose(["model=deepobs_logreg"])
    built = build_network(experiment, PIXELS)
    assert isinstance(built, Network)
    tensors = built.tensors.values()
    assert sum(t.numel() for t in tensors) == 7850
    assert not any(t.any() for t in tensors)


@pytest.mark.parametrize(
    ("name", "std", "bias"), [("deepobs_mlp", 0.03, 0.0), ("deepobs_2c2d", 0.05, 0.05)]
)
def test_weights_are_normal_and_cut_off(name: str, std: float, bias: float) -> None:
    weights, biases = parameters(name)
    for weight in weights:
        assert weight.abs().max() <= 2 * std
        error = 3 / math.sqrt(weight.numel())
        assert weight.std().item() == pytest.approx(0.8796 * std, rel=error)
        assert abs(weight.mean().item()) < error * std
    assert all(bool((own == bias).all()) for own in biases)


def test_3c3d_has_xaviers_weights_and_the_published_penalty() -> None:
    weights, biases = parameters("deepobs_3c3d")
    for weight in weights:
        inputs, outputs = nn.init._calculate_fan_in_and_fan_out(weight)
        wanted = math.sqrt(2 / (inputs + outputs))
        assert weight.std().item() == pytest.approx(wanted, rel=3 / math.sqrt(weight.numel()))
        # A uniform distribution ends at √3 deviations, the cut normal one beyond 2.
        assert weight.abs().max().item() / wanted == pytest.approx(
            2 / 0.8796 if weight.dim() == 4 else math.sqrt(3), rel=0.01
        )
    assert not any(own.any() for own in biases)
    # Of the published 3.592 before training the cross entropy is a little over log 10.
    penalty = sum(float(weight.square().sum()) for weight in weights) * 0.002 / 2
    assert 3.592 - penalty == pytest.approx(math.log(10), abs=0.05)


def test_3c3d_halves_images_as_padding_same_does() -> None:
    sizes: list[list[int]] = []
    built = network("deepobs_3c3d")
    for layer in built:
        if isinstance(layer, nn.MaxPool2d):
            layer.register_forward_hook(lambda *given: sizes.append(list(given[-1].shape[2:])))
    built(torch.zeros(1, 3, 32, 32))
    assert sizes == [[14, 14], [6, 6], [3, 3]]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("deepobs_2c2d", (13,)), ("deepobs_2c2d", (1, 3, 3)), ("deepobs_3c3d", (3, 15, 15))],
)
def test_other_images_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"it takes images .* of at least"):
        lookup("model", name)().build(spec(shape, 10))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["deepobs_2c2d", "deepobs_3c3d"])
def test_the_smallest_images_are_taken(name: str) -> None:
    side = {"deepobs_2c2d": 4, "deepobs_3c3d": 16}[name]
    built = lookup("model", name)().build(spec((3, side, side), 10))  # type: ignore[attr-defined]
    assert built(torch.zeros(2, 3, side, side)).shape == (2, 10)


@pytest.mark.parametrize("name", ["logreg", "mlp", "2c2d", "3c3d"])
def test_the_preset_of_a_network_leaves_pixels_as_they_are(name: str) -> None:
    experiment = compose([f"experiment=deepobs_{name}"])
    assert experiment.data.drop_last
    assert experiment.batch_size == 128
    dataset: Any = experiment.dataset
    assert dataset.normalise == (name == "3c3d")


@pytest.mark.whole
@pytest.mark.skipif(not REAL.exists(), reason="the folder with the real data is not here")
def test_2c2d_has_about_the_published_loss_before_training() -> None:
    splits = lookup("dataset", "fashion_mnist")(root=str(REAL)).load()  # type: ignore[attr-defined]
    images, labels = (part[:1000] for part in splits.test.tensors)
    losses = [
        nn.functional.cross_entropy(network("deepobs_2c2d", seed)(images / 255), labels).item()
        for seed in range(42, 47)
    ]
    # One draw was 2.355; ten others are from 2.29 to 2.48.
    assert sum(losses) / len(losses) == pytest.approx(2.355, abs=0.06)
