"""A model made again from what a file says of it, which may say anything.

What makes it is code of this machine, chosen by a name in the file: only a module whose source
registers that very model is imported, its settings are plain values, and it may be no larger than
the tensors that are there to fill it.
"""

import ast
import importlib
import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from experiments import tensorfile
from experiments.errors import DataError
from experiments.plugin import registry
from experiments.plugin.description import SPEC_NUMBERS, restore, restore_spec
from experiments.plugin.kinds import Model
from experiments.plugin.spec import DataSpec, Network, Task, Tensors
from experiments.process.isolation import isolated

_LONGEST = 2**13  # characters of a model's settings, each of which may ask for a layer
_SPARE = 2**22  # numbers that a network may draw beyond four times those that fill it
_FACTORIES = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint}
)


def predictor(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function from items as stored [N, *item] to outputs [N, ...] of a checkpoint.

    Raises DataError where the file is absent or damaged, or holds no model that can be made of
    the plugins of this machine.
    """
    tensors, facts = tensorfile.load(path)
    try:
        spec = spec_of(facts.get("spec"), tensors)
        model = model_of(facts.get("model"), facts.get("module"))
        parts = {part: tensorfile.below(part, tensors) for part in ("params", "buffers")}
        forward = forward_of(model, spec, parts)
    except Exception as error:  # whatever a plugin raises at settings that nobody chose
        reason = textwrap.shorten(str(error) or type(error).__name__, 250)
        raise DataError(f"{path} holds no model that can be made again: {reason}") from error

    @torch.no_grad()
    def predict(items: Tensor) -> Tensor:
        # Numbers too large for float32, such as seconds since 1970, come in float64.
        items = items if items.is_floating_point() else items.float()
        outputs = forward(((items - spec.mean) / spec.std).float())
        return (outputs * spec.target_std + spec.target_mean).float()

    return predict


def spec_of(facts: Any, tensors: Tensors) -> DataSpec:
    """Return the spec that facts and tensors describe; raise ValueError where they are wrong."""
    if not isinstance(facts, dict):
        raise ValueError(f"expected what the data are, found {facts}")
    shape, task = facts.get("input_shape"), facts.get("task")
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"expected an input_shape of sizes, found {shape}")
    if task not in list(Task.__members__):
        raise ValueError(f"expected a task of {', '.join(Task.__members__)}, found {task}")
    for key in ("classes", "targets"):
        names = facts.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"expected names of {key}, found {names}")
    outputs = [max(1, len(facts.get("targets", [])))]
    for key in SPEC_NUMBERS:
        of_target = key.startswith("target")  # which is as it is where a file does not say
        if not of_target or f"spec/{key}" in tensors:
            _check_number(f"spec/{key}", tensors, outputs if of_target else shape)
    return restore_spec(facts | {"counts": []}, tensors)


def _check_number(name: str, tensors: Tensors, shape: Sequence[int]) -> None:
    value = tensors.get(name)
    if value is None or not value.is_floating_point():
        raise ValueError(f"expected a tensor {name} of floating-point numbers, found none")
    # torch.broadcast_shapes would take seconds to import what it needs.
    pairs = zip(reversed(value.shape), reversed(shape), strict=False)
    if value.dim() > len(shape) or any(size not in (1, whole) for size, whole in pairs):
        raise ValueError(f"expected {name} to fit {list(shape)}, found {list(value.shape)}")


def model_of(description: Any, module: Any) -> Model:
    """Return the model that `describe` described, whose class is in a module.

    Raises ValueError where it describes anything else, or would run other code.
    """
    if not isinstance(description, dict) or not isinstance(module, str):
        raise ValueError(f"expected settings and a module, found {description} and {module}")
    kind, _, name = str(description.get("plugin")).partition("/")
    text = json.dumps(description)
    # An interpolation could read the environment.
    if kind != "model" or len(text) > _LONGEST or "${" in text:
        raise ValueError(f"expected settings of a model, found {text[:50]}")
    cls = registry.plugins(kind).get(name)
    if cls is None or cls.__module__ != module:
        source = _source(module)
        if source is None or name not in _registered(source):
            raise ValueError(f"expected a module that registers model={name}, found {module}")
        importlib.import_module(module)
    model = restore(description)
    assert isinstance(model, Model)
    return model


def forward_of(
    model: Model, spec: DataSpec, tensors: Mapping[str, Tensors]
) -> Callable[..., Tensor]:
    """Return a model's function of inputs, with its `params` and `buffers`.

    Raises ValueError where the model has tensors of other names or shapes.
    """
    given = {**tensors["params"], **tensors["buffers"]}
    with isolated(), _Room(_SPARE + 4 * sum(tensor.numel() for tensor in given.values())):
        network = model.build(spec)
    if isinstance(network, Network):
        _compare(network.tensors, given)
        params = {name: tensor.float() for name, tensor in given.items()}
        forward = network.forward
        return lambda inputs: forward(params, inputs)
    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    _compare(own, given)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])
    module: nn.Module = network.float().eval()
    return module


class _Room(TorchFunctionMode):
    """Lets no more numbers be drawn than there is room for."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            sizes = (size for size in args if isinstance(size, tuple | list))
            self._room -= math.prod(kwargs["size"] if "size" in kwargs else next(sizes, args))
            if self._room < 0:
                raise ValueError("expected settings of its tensors, found those of larger ones")
        return func(*args, **kwargs)


def _compare(own: Tensors, given: Tensors) -> None:
    """Raise ValueError naming the first tensor that a network has otherwise than a file."""
    for name in sorted({*own, *given}):
        expected, found = (_outline(tensors.get(name)) for tensors in (own, given))
        if expected != found:
            raise ValueError(f"expected {expected} called '{name}', found {found}")


def _outline(tensor: Tensor | None) -> str:
    if tensor is None:
        return "no tensor"
    kind = "floating-point" if tensor.is_floating_point() else "other"
    return f"a {kind} tensor of {list(tensor.shape)}"


def _source(module: str) -> Path | None:
    """Find a module's file as the import would, which runs the packages above it to find it."""
    parts = module.split(".")
    if not all(re.fullmatch(r"[\w-]+", part) for part in parts):
        return None
    for folder in sys.path:
        place = Path(folder, *parts)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def _registered(source: Path) -> set[str]:
    """Return the names that a file gives to `register`, without running it."""
    calls = [
        call
        for node in ast.walk(ast.parse(source.read_bytes()))
        if isinstance(node, ast.ClassDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "register"
    ]
    values = [value for call in calls for value in (*call.args, *(k.value for k in call.keywords))]
    return {str(value.value) for value in values if isinstance(value, ast.Constant)}
