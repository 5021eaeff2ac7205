"""The same rules elsewhere: in torch.optim, and as their inventors publish them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from inspect import signature
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.work import Take
from experiments.training import engine
from experiments.training.session import Session

_GIVEN = 16  # batches that lie ready


@dataclass(frozen=True, slots=True)
class Peer:
    """An optimizer's class, and the options that make it the rule."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    module: str = "torch.optim"

    def formed(self, **form: bool) -> "Peer":
        """Return a form of the peer, as `fused=True`."""
        return replace(self, options={**self.options, **form})

    def fastest(self) -> "Peer":
        """Return the fused form where there is one; raise ModuleNotFoundError without library."""
        return self.formed(fused=True) if "fused" in signature(self._class()).parameters else self

    def optimizers(self, params: Sequence[Tensor], lr: float) -> Iterator[torch.optim.Optimizer]:
        """Yield what updates parameters; Muon leaves those that are no matrices to AdamW."""
        if self.name == "Muon":
            yield torch.optim.AdamW([p for p in params if p.dim() != 2], lr, fused=True)
            params = [p for p in params if p.dim() == 2]
        optimizer = self._class()(params, lr=lr, **self.options)
        if hasattr(optimizer, "train"):  # of a rule that evaluates elsewhere
            optimizer.train()
        yield optimizer

    def _class(self) -> Callable[..., torch.optim.Optimizer]:
        found: Callable[..., torch.optim.Optimizer]
        found = getattr(import_module(self.module), self.name)
        return found


TORCH = {
    "adadelta": Peer("Adadelta"),
    "adafactor": Peer("Adafactor"),
    "adagrad": Peer("Adagrad"),
    "adam": Peer("Adam"),
    "adamax": Peer("Adamax"),
    "adamw": Peer("AdamW"),
    "amsgrad": Peer("Adam", {"amsgrad": True}),
    "lbfgs": Peer("LBFGS", {"max_iter": 1, "line_search_fn": "strong_wolfe"}),
    "momentum": Peer("SGD", {"momentum": 0.9}),
    "muon": Peer("Muon"),
    "muon_adamw": Peer("Muon"),
    "nadam": Peer("NAdam"),
    "nesterov": Peer("SGD", {"momentum": 0.9, "nesterov": True}),
    "radam": Peer("RAdam"),
    "rmsprop": Peer("RMSprop"),
    "rprop": Peer("Rprop"),
    "sgd": Peer("SGD"),
}
OFFICIAL = {
    "prodigy": Peer("Prodigy", module="prodigyopt"),
    "schedule_free_adamw": Peer("AdamWScheduleFree", module="schedulefree"),
    "schedule_free_sgd": Peer("SGDScheduleFree", module="schedulefree"),
}


def take(session: Session, network: nn.Module, peer: Peer, *, given: bool = True) -> Take:
    """Return what takes n steps of a session's work, whose batches lie ready or are read."""
    lr = session.experiment.optimizer.lr
    optimizers = list(peer.optimizers(list(network.parameters()), lr))
    read = (parts[0] for parts in engine.batches(session))
    batches = cycle(list(islice(read, _GIVEN))) if given else read

    def gradients(inputs: Tensor, targets: Tensor) -> Tensor:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(network(inputs), targets)
        loss.backward()
        return loss

    def function(n: int) -> None:
        for batch in islice(batches, n):
            if peer.name == "LBFGS":  # it computes the gradients as often as it likes
                optimizers[0].step(partial(gradients, *batch))  # type: ignore[arg-type]
                continue
            gradients(*batch)
            for optimizer in optimizers:
                optimizer.step()

    return function
