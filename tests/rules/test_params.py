"""Flat parameters: one memory under many views, their roles, and lanes."""

import copy
import warnings

import pytest
import torch
from problems import CPU, numbers, params_of, tensors_only
from torch import nn

from experiments import Network
from experiments.rules.layout import initial_tensors, layout_of
from experiments.rules.params import Params


def raw(seed: int = 0) -> Network:
    return tensors_only(
        weights=numbers(4, 3, seed=seed),
        bias=numbers(3, seed=seed + 1),
        scalar=numbers(1, seed=seed + 2)[0],
    )


class Module(nn.Module):
    """Has parameters of every role, and one that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3)
        self.batch = nn.BatchNorm2d(2)
        self.group = nn.GroupNorm(1, 2)
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
        self.bias_of_all = nn.Parameter(torch.ones(2))
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.frozen = nn.Parameter(torch.ones(5), requires_grad=False)


def test_the_layout_places_parameters_one_after_the_other() -> None:
    layout = layout_of(raw())
    assert [(p.name, list(p.shape), p.start, p.stop) for p in layout.places] == [
        ("weights", [4, 3], 0, 12),
        ("bias", [3], 12, 15),
        ("scalar", [], 15, 16),
    ]


def test_roles_are_weight_bias_and_norm() -> None:
    assert [p.role for p in layout_of(raw()).places] == ["weight", "bias", "weight"]
    assert {p.name: p.role for p in layout_of(Module()).places} == {
        "bias_of_all": "bias",
        "scale": "weight",
        "convolution.weight": "weight",
        "convolution.bias": "bias",
        "batch.weight": "norm",
        "batch.bias": "norm",
        "group.weight": "norm",
        "group.bias": "norm",
        "layers.0.weight": "weight",
        "layers.0.bias": "bias",
        "layers.1.weight": "norm",
        "layers.1.bias": "norm",
    }


def test_the_vector_begins_with_the_networks_values() -> None:
    wanted = torch.cat([t.detach().flatten() for t in raw().tensors.values()])
    assert params_of([raw()]).vector.equal(wanted)


@pytest.mark.parametrize("lanes", [1, 3])
def test_tensors_share_their_memory_with_the_vector(lanes: int) -> None:
    params = params_of([raw(seed) for seed in range(lanes)])
    params.vector.copy_(torch.arange(params.vector.numel()).view_as(params.vector))
    for name, view in params.layout.split(params.vector).items():
        assert params.tensors[name].equal(view)
        assert params.tensors[name].data_ptr() == view.data_ptr()
    with torch.no_grad():
        params.tensors["bias"].fill_(-1)
    assert params.vector[..., 12:15].eq(-1).all()
    assert params.vector.eq(-1).sum() == 3 * lanes


@pytest.mark.parametrize("lanes", [1, 3])
def test_gradients_accumulate_in_the_flat_vector(lanes: int) -> None:
    params = params_of([raw(seed) for seed in range(lanes)])
    memory = params.grads.data_ptr()
    for times in (1, 2):
        sum((tensor**2).sum() for tensor in params.tensors.values()).backward()  # type: ignore[union-attr]
        torch.testing.assert_close(params.grads, times * 2 * params.vector)
    params.grads.zero_()
    assert all(tensor.grad is not None for tensor in params.tensors.values())
    assert all(tensor.grad.eq(0).all() for tensor in params.tensors.values())  # type: ignore[union-attr]
    assert params.grads.data_ptr() == memory


def test_a_plain_run_trains_the_networks_own_tensors() -> None:
    network = raw()
    params = params_of([network])
    assert all(params.tensors[name] is tensor for name, tensor in network.tensors.items())


def test_a_module_computes_with_the_vectors_values() -> None:
    module = nn.Linear(3, 2)
    params = Params([module], CPU, torch.float32)
    params.vector.fill_(1.0)
    assert module(torch.ones(1, 3)).tolist() == [[4.0, 4.0]]
    module(torch.ones(1, 3)).sum().backward()
    assert params.grads.tolist() == [1.0] * 8


def test_a_module_takes_another_dtype() -> None:
    module = nn.Linear(3, 2)
    params = Params([module], CPU, torch.float64)
    output = module(torch.ones(1, 3, dtype=torch.float64))
    output.sum().backward()
    assert output.dtype == params.vector.dtype == params.grads.dtype == torch.float64
    assert params.grads.tolist() == [1.0] * 8


def test_lanes_are_stacked_and_leave_their_networks_alone() -> None:
    networks = [raw(seed) for seed in range(3)]
    before = copy.deepcopy([network.tensors for network in networks])
    params = params_of(networks)
    assert params.axis.count == 3
    assert params.vector.shape == params.grads.shape == (3, 16)
    assert {name: list(t.shape) for name, t in params.tensors.items()} == {
        "weights": [3, 4, 3],
        "bias": [3, 3],
        "scalar": [3],
    }
    for lane, network in enumerate(networks):
        for name, tensor in network.tensors.items():
            assert params.tensors[name][lane].equal(tensor)
    params.vector.zero_()
    for network, old in zip(networks, before, strict=True):
        assert all(network.tensors[name].equal(tensor) for name, tensor in old.items())


def test_lanes_accumulate_strided_gradients_without_a_warning() -> None:
    params = params_of([raw(seed) for seed in range(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", message="grad and param do not obey the gradient")
        for _ in range(2):
            (params.tensors["weights"] ** 2).sum().backward()
    torch.testing.assert_close(params.grads[:, :12], 4 * params.vector[:, :12])


def test_a_plain_run_has_no_lanes() -> None:
    assert params_of([raw()]).axis.count == 1


def test_frozen_parameters_are_not_trained() -> None:
    module = Module()
    params = Params([module], CPU, torch.float32)
    assert "frozen" not in params.tensors
    assert "frozen" not in initial_tensors(module)
    params.vector.zero_()
    assert module.frozen.tolist() == [1.0] * 5


def test_split_views_any_vector_by_name() -> None:
    params = params_of([raw()])
    parts = params.layout.split(torch.arange(32.0).view(2, 16))
    assert {name: list(part.shape) for name, part in parts.items()} == {
        "weights": [2, 4, 3],
        "bias": [2, 3],
        "scalar": [2],
    }
    assert parts["scalar"].tolist() == [15.0, 31.0]
    assert parts["weights"][1, 0].tolist() == [16.0, 17.0, 18.0]
