"""Each model: its tensors, how it is initialised, and what it refuses."""

import math
from typing import Any

import pytest
import torch
from problems import numbers, spec
from torch import Tensor, nn

from experiments import Network, lookup
from experiments.rules.layout import initial_tensors

DIGITS, FASHION, CIFAR = spec((1, 8, 8), 10), spec((1, 28, 28), 10), spec((3, 32, 32), 10)
FEATURES = spec((13,))


def model(name: str, **fields: Any) -> Any:
    return lookup("model", name)(**fields)


def test_linear_is_one_affine_layer_of_raw_tensors() -> None:
    network = model("linear").build(DIGITS)
    assert {name: list(t.shape) for name, t in network.tensors.items()} == {
        "weights": [10, 64],
        "bias": [10],
    }
    inputs = numbers(5, 1, 8, 8, dtype=torch.float32)
    wanted = inputs.view(5, 64) @ network.tensors["weights"].T + network.tensors["bias"]
    torch.testing.assert_close(network.forward(network.tensors, inputs), wanted)


def test_mlp_equals_a_sequence_of_torch_layers() -> None:
    network = model("mlp", hidden=[7, 6]).build(DIGITS)
    layers: list[nn.Module] = [nn.Flatten()]
    for k in (1, 2, 3):
        weights, bias = network.tensors[f"weights{k}"], network.tensors[f"bias{k}"]
        layer = nn.Linear(*reversed(weights.shape))
        layer.weight.data, layer.bias.data = weights.detach(), bias.detach() + k
        bias.data += k
        layers += [layer, nn.ReLU()]
    inputs = numbers(5, 1, 8, 8, dtype=torch.float32)
    wanted = nn.Sequential(*layers[:-1])(inputs)
    torch.testing.assert_close(network.forward(network.tensors, inputs), wanted)


def test_mlp_without_hidden_layers_is_linear() -> None:
    shapes = [list(t.shape) for t in model("mlp", hidden=[]).build(FEATURES).tensors.values()]
    assert shapes == [[1, 13], [1]]


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_raw_tensors_are_leaves_that_require_grad(name: str) -> None:
    network = model(name).build(DIGITS)
    assert isinstance(network, Network)
    assert all(t.requires_grad and t.is_leaf for t in network.tensors.values())


@pytest.mark.parametrize("init_scale", [0.0, 0.5, 2.0])
def test_initial_weights_have_the_scale_of_their_fan_in(init_scale: float) -> None:
    wide = spec((400,), 300)
    linear = model("linear", init_scale=init_scale).build(wide).tensors
    mlp = model("mlp", hidden=[500, 350], init_scale=init_scale).build(wide).tensors
    expected = {"weights1": math.sqrt(2 / 400), "weights2": math.sqrt(2 / 500)}
    expected["weights3"] = math.sqrt(1 / 350)
    drawn = [(linear["weights"], math.sqrt(1 / 400))]
    drawn += [(mlp[name], scale) for name, scale in expected.items()]
    for weights, scale in drawn:
        assert weights.std().item() == pytest.approx(init_scale * scale, rel=0.02)
        assert weights.mean().item() == pytest.approx(0, abs=0.01 * init_scale)
    assert all(t.eq(0).all() for name, t in (linear | mlp).items() if name.startswith("bias"))


def test_he_initialisation_keeps_the_size_of_activations() -> None:
    network = model("mlp", hidden=[512] * 6).build(spec((512,), 512))
    outputs = network.forward(network.tensors, numbers(64, 512, seed=1, dtype=torch.float32))
    assert outputs.square().mean().item() == pytest.approx(1, rel=0.4)


def test_cnn_halves_the_image_once_a_block() -> None:
    network = model("cnn", channels=[4, 5, 6]).build(FASHION)
    shapes = {name: list(t.shape) for name, t in initial_tensors(network).items()}
    assert [shape for shape in shapes.values() if len(shape) > 1] == [
        *([4, 1, 3, 3], [5, 4, 3, 3], [6, 5, 3, 3]),
        [10, 6 * 3 * 3],
    ]


def test_cnn_drops_out_while_training_only() -> None:
    network = model("cnn", dropout=0.5).build(DIGITS)
    inputs = numbers(4, 1, 8, 8, dtype=torch.float32)
    assert not network(inputs).equal(network(inputs))
    network.eval()
    assert network(inputs).equal(network(inputs))


def test_lenet_has_the_papers_layers_on_28_by_28_pixels() -> None:
    network = model("lenet").build(FASHION)
    shapes = [list(t.shape) for t in network.parameters() if t.dim() > 1]
    assert shapes == [[6, 1, 5, 5], [16, 6, 5, 5], [120, 400], [84, 120], [10, 84]]
    assert sum(t.numel() for t in network.parameters()) == 61_706


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("depth", [1, 3])
def test_resnet18_has_a_stem_for_its_images(small: bool, depth: int) -> None:
    network = model("resnet18", small_images=small).build(spec((depth, 32, 32), 10))
    kernel = [3, 3] if small else [7, 7]
    assert list(network.conv1.weight.shape) == [64, depth, *kernel]
    assert network.conv1.bias is None
    features: list[Tensor] = []
    network.layer1.register_forward_hook(lambda *args: features.append(args[-1]))
    network.eval()
    assert network(torch.zeros(1, depth, 32, 32)).shape == (1, 10)
    assert list(features[0].shape) == [1, 64, *([32, 32] if small else [8, 8])]


def test_the_depth_of_dynamic_depends_on_its_data() -> None:
    network = model("dynamic", most=4, tolerance=0.5).build(DIGITS)
    applied: list[int] = []
    network.repeated.register_forward_hook(lambda *_: applied.append(1))

    def depth(inputs: Tensor) -> int:
        applied.clear()
        network(inputs)
        return len(applied)

    # Small inputs change little beside the layer's own bias, great ones as the weights do.
    with torch.no_grad():
        network.repeated.weight.copy_(2 * torch.eye(64))
        network.repeated.bias.fill_(-1.0)
        network.enter.bias.zero_()
    inputs = numbers(5, 1, 8, 8, dtype=torch.float32)
    assert depth(inputs / 1000) == 1
    assert depth(inputs * 1000) == 4
    assert depth(torch.zeros(5, 1, 8, 8)) == 4


@pytest.mark.parametrize("most", [0, 1, 3])
def test_dynamic_repeats_at_most_so_often(most: int) -> None:
    network = model("dynamic", most=most, tolerance=0.0).build(DIGITS)
    applied: list[int] = []
    network.repeated.register_forward_hook(lambda *_: applied.append(1))
    network(numbers(5, 1, 8, 8, dtype=torch.float32))
    assert len(applied) == most


@pytest.mark.parametrize(
    ("name", "fields", "shape", "reason"),
    [
        ("cnn", {}, (13,), "images"),
        ("cnn", {"channels": [4, 4, 4, 4]}, (1, 8, 8), "4 poolings are too many"),
        ("cnn", {}, (28, 28), "images"),
        ("lenet", {}, (13,), "images"),
        ("lenet", {}, (1, 8, 8), "at least 12x12"),
        ("resnet18", {}, (13,), "images"),
    ],
)
def test_a_misfit_is_a_value_error_with_its_reason(
    name: str, fields: dict[str, Any], shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        model(name, **fields).build(spec(shape, 10))


@pytest.mark.parametrize("side", [12, 13, 20])
def test_lenet_takes_the_smallest_images_it_says(side: int) -> None:
    network = model("lenet").build(spec((1, side, side), 10))
    assert network(torch.zeros(2, 1, side, side)).shape == (2, 10)


def test_a_regression_has_one_output() -> None:
    for name in ("linear", "mlp", "dynamic"):
        network = model(name).build(FEATURES)
        inputs = torch.zeros(2, 13)
        call = network.forward(network.tensors, inputs) if name != "dynamic" else network(inputs)
        assert call.shape == (2, 1)
