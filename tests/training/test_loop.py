"""The loop: it is the one of the notes, adds up parts, and trains lanes as single runs."""

import inspect
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.utils.data import TensorDataset

from experiments import DataSpec, Network, Optimizer, State, Task, lookup, register
from experiments.data.batches import Batches
from experiments.data.preprocessing import Preprocessing
from experiments.data.seeds import default_stream
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.training import loop
from experiments.training.forward import Forward
from experiments.training.loop import descend

CPU, EXACT = torch.device("cpu"), torch.float64
SPEC = DataSpec(input_shape=(1, 4, 4), task=Task.classification, classes=("a", "b", "c"))
SEEDS, LRS = [3, 4, 5], [0.1, 0.03, 0.2]


def items(count: int = 50) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 1, 4, 4, generator=generator, dtype=EXACT)
    return TensorDataset(inputs, torch.randint(0, 3, (count,), generator=generator))


def batches_of(data: TensorDataset) -> Batches:
    preprocessing = Preprocessing(SPEC, device=CPU, dtype=EXACT)
    return Batches(data, preprocessing, batch_size=10, device=CPU)


def network(model: str, seed: int) -> Network:
    with default_stream(seed, "init"):
        built = lookup("model", model)().build(SPEC)  # type: ignore[attr-defined]
    assert isinstance(built, Network)
    return built


def trained(model: str, optimizer: str, seeds: list[int], lrs: list[float]) -> Tensor:
    """Return the parameters [K, P] or [P] after ten epochs of five batches."""
    networks = [network(model, seed) for seed in seeds]
    params = Params(networks, CPU, EXACT)
    rules = [lookup("optimizer", optimizer)(lr=lr) for lr in lrs]
    optimizers = [rule for rule in rules if isinstance(rule, Optimizer)]
    constant = lookup("schedule", "constant")()
    schedules = {"lr": [constant for _ in lrs]}
    rule = Rule(params, optimizers, {}, schedules, total_steps=50, steps_per_epoch=5)  # type: ignore[arg-type]
    loss = lookup("loss", "cross_entropy")()
    loss_fn = vmap(loss) if len(seeds) > 1 else loss  # type: ignore[arg-type]
    source = batches_of(items())

    def batches() -> Iterator[list[tuple[Tensor, Tensor]]]:
        for epoch in range(1, 11):
            yield from ([batch] for batch in source.epoch(epoch, seeds))

    forward = Forward(networks, params)
    state = rule.init(params.vector)
    for step in descend(forward, loss_fn, rule, params, state, batches()):  # type: ignore[arg-type]
        last = step.t
    assert last == 50
    return params.vector.clone()


@pytest.mark.parametrize("model", ["linear", "mlp"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_three_lanes_are_three_single_runs(model: str, optimizer: str) -> None:
    lanes = trained(model, optimizer, SEEDS, LRS)
    for lane, seed, lr in zip(lanes, SEEDS, LRS, strict=True):
        alone = trained(model, optimizer, [seed], [lr])
        assert (lane - alone).abs().max() <= 1e-10 * alone.abs().max()
    assert not torch.allclose(lanes[0], lanes[1])


def test_the_loop_is_that_of_the_notes() -> None:
    network_ = network("linear", 0)
    weights, bias = (t.detach().to(EXACT).requires_grad_() for t in network_.tensors.values())
    for epoch in range(1, 11):
        source = batches_of(items())
        for inputs, targets in source.epoch(epoch, [0]):
            outputs = inputs.flatten(1) @ weights.T + bias
            torch.nn.functional.cross_entropy(outputs, targets).backward()
            with torch.no_grad():
                for tensor in (weights, bias):
                    assert tensor.grad is not None
                    tensor.sub_(0.1 * tensor.grad)
                    tensor.grad.zero_()
    expected = torch.cat([weights.flatten(), bias]).detach()
    torch.testing.assert_close(trained("linear", "sgd", [0], [0.1]), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", [4, 5, 7, 11])
def test_parts_of_a_batch_make_the_step_of_the_whole(size: int) -> None:
    inputs, targets = items(12).tensors
    whole = [(inputs, targets)]
    parts = list(zip(inputs.split(size), targets.split(size), strict=True))
    ends = []
    for batch in (whole, parts):
        net = network("mlp", 1)
        params = Params([net], CPU, EXACT)
        constant, sgd = lookup("schedule", "constant")(), lookup("optimizer", "sgd")()
        rule = Rule(params, [sgd], {}, {"lr": [constant]}, total_steps=1, steps_per_epoch=1)  # type: ignore[list-item]
        loss = lookup("loss", "cross_entropy")()
        state = rule.init(params.vector)
        for step in descend(Forward([net], params), loss, rule, params, state, [batch]):  # type: ignore[arg-type]
            ends.append((step.losses, params.vector, params.grads.clone(), *step.norms()))
        assert not params.grads.any()
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("lanes", [1, 3])
def test_what_a_rule_remembers_of_gradient_and_parameters_stays(lanes: int) -> None:
    @register("remembering")
    class Remembering(Optimizer):
        """Descends along the sum of this gradient, the last one, and the way from the start."""

        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"start": param, "last": torch.zeros_like(param)}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            step = self.lr * (grad + state["last"] + param - state["start"])
            return step, {"start": state["start"], "last": grad}

    found = trained("linear", "remembering", SEEDS[:lanes], LRS[:lanes]).view(lanes, -1)
    for lane, seed, lr in zip(found, SEEDS, LRS, strict=False):
        net = network("linear", seed)
        weights = Params([net], CPU, EXACT)
        vector, start, last = weights.vector, weights.vector.clone(), torch.zeros(51, dtype=EXACT)
        for epoch in range(1, 11):
            for inputs, targets in batches_of(items()).epoch(epoch, [seed]):
                outputs = net.forward(weights.tensors, inputs)
                torch.nn.functional.cross_entropy(outputs, targets).backward()
                grad = weights.grads.clone()
                vector -= lr * (grad + last + vector - start)
                last = grad
                weights.grads.zero_()
        torch.testing.assert_close(lane, vector, rtol=1e-10, atol=1e-12)


def test_the_loop_is_short() -> None:
    source = inspect.getsource(loop.descend)
    body = source.split('"""')[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 25
    words = ["backward()", "no_grad()", "sub_(", "zero_()"]
    assert sorted(words, key=source.index) == words
