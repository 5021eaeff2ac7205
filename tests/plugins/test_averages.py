"""EMA, SWA and Lookahead: against torch's averages and the published algorithms."""

from typing import Any

import pytest
import torch
from descents import START, STEPS, fixed, given
from problems import params_of, rule_of, tensors_only
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def ours(
    name: str, dtype: torch.dtype = torch.float64, rule: str = "sgd", **fields: Any
) -> tuple[Tensor, Tensor]:
    """Return the parameters [STEPS + 1, P] that are trained, and those that are evaluated."""
    params = params_of([tensors_only(weights=START.to(dtype, copy=True))], dtype)
    transforms = {name: given("transform", name, **fields)}
    made = rule_of(params, given("optimizer", rule, lr=0.1), transforms)
    state = made.init(params.vector)
    trained, evaluated = [params.vector.clone()], [made.point(params.vector, state).clone()]
    for t in range(1, STEPS + 1):
        change, state = made.step(fixed(1)(t, START).to(dtype), params.vector, state, t)
        params.vector.sub_(change)
        trained.append(params.vector.clone())
        evaluated.append(made.point(params.vector, state).clone())
    return torch.stack(trained), torch.stack(evaluated)


def plain() -> Tensor:
    """Return the path of gradient descent alone."""
    gradients = torch.stack([fixed(1)(t, START) for t in range(1, STEPS + 1)])
    return torch.cat([START[None], START - 0.1 * gradients.cumsum(0)])


def averaged(path: Tensor, **options: Any) -> Tensor:
    """Return torch's averages along a path, from its first parameters on."""
    model = nn.Module()
    model.param = nn.Parameter(path[0].clone())
    average, found = AveragedModel(model, **options), []
    for point in path:
        model.param.data.copy_(point)
        average.update_parameters(model)
        found.append(average.module.param.detach().clone())
    return torch.stack(found)


@pytest.mark.parametrize("decay", [0.0, 0.7, 0.999])
def test_ema_is_torchs_and_leaves_training_alone(decay: float) -> None:
    trained, evaluated = ours("ema", decay=decay)
    torch.testing.assert_close(trained, plain(), rtol=0, atol=1e-12)
    wanted = averaged(plain(), multi_avg_fn=get_ema_multi_avg_fn(decay))
    torch.testing.assert_close(evaluated, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("start", "every"), [(1, 1), (20, 1), (7, 5), (50, 3), (80, 1)])
def test_swa_is_torchs_from_a_step_on(start: int, every: int) -> None:
    trained, evaluated = ours("swa", start=start, every=every)
    torch.testing.assert_close(trained, plain(), rtol=0, atol=1e-12)
    torch.testing.assert_close(evaluated[:start], plain()[:start], rtol=0, atol=1e-12)
    if start > STEPS:
        return
    wanted = averaged(plain()[start::every])
    torch.testing.assert_close(evaluated[start::every], wanted, rtol=0, atol=1e-12)
    for n in range(start, STEPS + 1):
        assert evaluated[n].equal(evaluated[n - (n - start) % every])


@pytest.mark.parametrize(("every", "alpha"), [(5, 0.5), (1, 0.3), (7, 0.0), (4, 1.0), (99, 0.5)])
def test_lookahead_goes_back_from_every_kth_step(every: int, alpha: float) -> None:
    trained, evaluated = ours("lookahead", every=every, alpha=alpha)
    fast = slow = START
    for t in range(1, STEPS + 1):
        fast = fast - 0.1 * fixed(1)(t, START)
        if t % every == 0:
            fast = slow = (1 - alpha) * slow + alpha * fast
        torch.testing.assert_close(trained[t], fast, rtol=0, atol=1e-12)
        torch.testing.assert_close(evaluated[t], slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["ema", "swa", "lookahead"])
def test_averages_in_float32_keep_float32s_digits(name: str) -> None:
    for path, wanted in zip(ours(name, torch.float32), ours(name), strict=True):
        assert path.dtype == torch.float32
        torch.testing.assert_close(path.double(), wanted, rtol=0, atol=5e-6)


def test_a_rule_within_lookahead_keeps_its_own_memory() -> None:
    trained, _ = ours("lookahead", rule="momentum", every=3)
    fast, slow, v = START, START, torch.zeros_like(START)
    for t in range(1, STEPS + 1):
        v = 0.9 * v + fixed(1)(t, START)
        fast = fast - 0.1 * v
        if t % 3 == 0:
            fast = slow = (slow + fast) / 2
        torch.testing.assert_close(trained[t], fast, rtol=0, atol=1e-12)
