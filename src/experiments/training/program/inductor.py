"""Compile a function of tensors: trace it whole, and let inductor write its kernels."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from experiments.errors import CaptureError
from experiments.plugin.failure import place_of

Flat = Callable[..., Sequence[Tensor]]

_OPTIONS = {
    "fallback_random": True,  # random numbers are those of the plain loop
    # The compiler is trusted with the processor's instructions: to try each set takes 9 seconds.
    "cpp.vec_isa_ok": True,
}


def compiled(function: Flat, examples: Sequence[Tensor], *, early: int) -> Flat:
    """Return the compiled function of tensors like the examples, which it may change in place.

    What depends on the first `early` alone is computed first, once: within a kernel over all
    parameters it would be computed for every one. Raises CaptureError.
    """
    first, second = _divided(_traced(function, examples), early)
    with torch.no_grad():
        run_first = _lowered(first, examples[:early])
        run_second = _lowered(second, [*first(*examples[:early]), *examples[early:]])

    @torch.no_grad()
    def call(*tensors: Tensor) -> Sequence[Tensor]:
        return run_second(*run_first(*tensors[:early]), *tensors[early:])

    return call


def _traced(function: Flat, examples: Sequence[Tensor]) -> fx.GraphModule:
    try:
        trace = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)
        graph: fx.GraphModule = trace(*examples)
    except CaptureError:
        raise
    except Exception as error:  # whatever a model does that has no place in a graph
        raise CaptureError(_where(error)) from error
    return graph


def _lowered(graph: fx.GraphModule, examples: Sequence[Tensor]) -> Flat:
    """Return the machine's code of a graph."""
    if all(node.op != "call_function" for node in graph.graph.nodes):
        return graph  # it only passes tensors on

    import torch._inductor

    # They say that there is no CUDA, and that a program is not kept where caches are off.
    for name in ("torch.utils.cpp_extension", "torch._inductor.standalone_compile"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        lowered: Flat = torch._inductor.standalone_compile(
            graph,
            list(examples),
            dynamic_shapes="from_example_inputs",
            options={"config_patches": _OPTIONS},
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise CaptureError(f"the compiler fails: {type(error).__name__}: {reason}") from error
    return lowered


def _divided(graph: fx.GraphModule, count: int) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Split off what depends on the first `count` inputs alone: it gives inputs of the rest."""
    nodes = list(graph.graph.nodes)
    early = dict.fromkeys([node for node in nodes if node.op == "placeholder"][:count])
    for node in nodes:
        inputs = node.all_input_nodes
        if node.op == "call_function" and inputs and all(n in early for n in inputs):
            early[node] = None
    crossing = [node for node in early if any(user not in early for user in node.users)]
    first, second = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        if node in early:
            copies[node] = first.node_copy(node, copies.__getitem__)
    first.output(tuple(copies[node] for node in crossing))
    copies = {node: second.placeholder(node.name) for node in crossing}
    for node in nodes:
        if node not in early:
            copies[node] = second.node_copy(node, copies.__getitem__)
    return fx.GraphModule(graph, first), fx.GraphModule(graph, second)


def _where(error: Exception) -> str:
    """Say which line of a plugin stands in the way, and what it does."""
    if place := place_of(error, anywhere=True):
        return f"{place.file}:{place.number} (`{place.code}`) depends on a tensor's values"
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"
