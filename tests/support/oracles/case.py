"""A rule with its numbers, and the path that a paper or another library takes with them."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from unittest.mock import patch

import numpy as np
import pytest
import torch
from descents import SIZE, STEPS, Gradient, Surface, given, theirs
from numpy.typing import NDArray
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments.rules.again import Again
from experiments.rules.params import Params
from experiments.rules.rule import Rule

Array: TypeAlias = NDArray[np.float64]
Memory: TypeAlias = defaultdict[str, Any]  # what a transcription remembers; at first it is 0
Step: TypeAlias = Callable[[Array, Array, Memory, int], Array]  # of gradient, parameters, memory, t
Path: TypeAlias = Callable[[Gradient, Tensor], Tensor]  # [STEPS + 1, SIZE] from a start

MATRIX = (6, 4)  # the first 24 numbers; the last 5 are a vector, or a matrix of one row
NOISE = numbers(STEPS + 1, SIZE, seed=4)  # of every step, in the place of what a rule draws


class Case(NamedTuple):
    """A rule of the registry with its fields, and what it must be equal to.

    `tolerance` is the largest difference over the largest displacement in float64, and `single` in
    float32. `matrices` makes a matrix of the vector too, for a rule that takes no others.
    """

    rule: str
    against: str  # "NumPy" of the paper's equation, or the name in another library
    path: Path
    fields: Mapping[str, Any] = {}
    transforms: Mapping[str, Mapping[str, Any]] = {}
    tolerance: float = 1e-10
    single: float = 5e-6
    matrices: bool = False

    def ours(self, gradient: Gradient, start: Tensor) -> Tensor:
        """Return the path of the rule itself."""
        matrix, rest = start[:24].view(MATRIX).clone(), start[24:].clone()
        tensors = tensors_only(matrix=matrix, rest=rest[None] if self.matrices else rest)
        params = params_of([tensors], start.dtype)
        transforms = {n: given("transform", n, **own) for n, own in self.transforms.items()}
        optimizer = given("optimizer", self.rule, **self.fields)
        rule = rule_of(params, optimizer, transforms, total_steps=STEPS)
        return followed(rule, params, gradient)

    def __str__(self) -> str:
        numbers = ",".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.rule}({numbers}) {'+'.join(self.transforms)} {self.against}"


def loss_at(gradient: Gradient, t: int, point: Tensor) -> Tensor:
    """Return the loss, 0 at the origin, whose gradient is that one, affine in the parameters."""
    both = gradient(t, point) + gradient(t, torch.zeros_like(point))
    return (both @ point.double() / 2).to(point.dtype)


def hessian(gradient: Gradient, t: int) -> Tensor:
    """Return the derivatives of a gradient that is affine in the parameters."""
    start = gradient(t, torch.zeros(SIZE, dtype=torch.float64))
    return torch.stack([gradient(t, row) - start for row in torch.eye(SIZE, dtype=torch.float64)])


def followed(rule: Rule, params: Params, gradient: Gradient, steps: int = STEPS) -> Tensor:
    """Return the path of a rule, which may look again at the loss of that gradient."""
    vector, state, batch = params.vector, rule.init(params.vector), [(torch.zeros(1),) * 2]
    path = [vector.clone()]
    with patch.object(
        Again, "noise", lambda self, like: self._take(NOISE[self.t % len(NOISE)]).to(like)
    ):
        for t in range(1, steps + 1):
            loss = partial(loss_at, gradient, t)
            again = rule.evaluations(Surface(loss), lambda loss, _: loss, params, batch)
            grad = gradient(t, vector).to(vector.dtype)
            change, state = rule.step(grad, vector, state, t, loss(vector), again)
            vector.sub_(change)
            path.append(vector.clone())
    return torch.stack(path)


def paper(step: Step, *, whole: bool = False) -> Path:
    """Follow a transcription: for the matrix and the vector each, or for all numbers at once.

    Its memory has the step's `loss`, a function of all parameters, and its `hessian`.
    """

    def path(gradient: Gradient, start: Tensor) -> Tensor:
        point = start.numpy().copy()
        cuts = [(slice(0, 29), (29,))] if whole else [(slice(0, 24), MATRIX), (slice(24, 29), (5,))]
        memories: list[Memory] = [defaultdict(float) for _ in cuts]
        points = [point.copy()]
        curvatures = hessian(gradient, 1).numpy()  # the same at every step
        for t in range(1, STEPS + 1):
            g = gradient(t, torch.from_numpy(point)).numpy()
            for (cut, shape), memory in zip(cuts, memories, strict=True):
                memory["loss"] = lambda x, t=t: loss_at(gradient, t, torch.from_numpy(x)).item()
                memory["hessian"] = curvatures
                part = point[cut].reshape(shape)
                point[cut] = (part - step(g[cut].reshape(shape), part, memory, t)).reshape(-1)
            points.append(point.copy())
        return torch.from_numpy(np.stack(points))

    return path


def torch_path(make: Callable[[list[Tensor]], torch.optim.Optimizer]) -> Path:
    """Follow an optimizer of torch's kind."""
    return lambda gradient, start: theirs(make, gradient, start=start)


def optax_path(make: Callable[[Any], Any]) -> Path:
    """Follow what `make` returns of optax, in float64, with the loss for those that look at it."""

    def path(gradient: Gradient, start: Tensor) -> Tensor:
        jax = pytest.importorskip("jax", reason="optax is not installed")
        optax = pytest.importorskip("optax")

        with jax.enable_x64(True):
            rule = optax.with_extra_args_support(make(optax))
            curvatures = jax.numpy.asarray(hessian(gradient, 1).numpy())

            def loss(params: Any, slope: Any) -> Any:
                x = jax.numpy.concatenate([part.ravel() for part in params])
                return x @ curvatures @ x / 2 + slope @ x

            def stepped(grads: Any, state: Any, params: Any, slope: Any) -> Any:
                more = {"value": loss(params, slope), "grad": grads, "value_fn": loss}
                return rule.update(grads, state, params, slope=slope, **more)

            params = _split(start)
            state, update, points = rule.init(params), jax.jit(stepped), [start]
            for t in range(1, STEPS + 1):
                slope = jax.numpy.asarray(gradient(t, torch.zeros_like(start)).numpy())
                steps, state = update(_split(gradient(t, points[-1])), state, params, slope)
                params = optax.apply_updates(params, steps)
                points.append(torch.cat([torch.tensor(np.asarray(p)).flatten() for p in params]))
        return torch.stack(points)

    return path


def _split(vector: Tensor) -> list[Any]:
    import jax

    return [jax.numpy.asarray(p.numpy()) for p in (vector[:24].view(MATRIX), vector[24:])]
