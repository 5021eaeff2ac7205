from dataclasses import field
from fnmatch import fnmatch
from functools import partial

from torch import Tensor

from experiments import Optimizer, Parameter, Route, State, number, options, register

_WORDS = ("weight", "bias", "norm", "matrix", "last")


@register("route")
class Routes(Optimizer):
    """Gives every parameter to one of several rules: the first in order that names it.

    `rules` are by name, and `parameters` says of each which it takes: by role (`weight`, `bias`,
    `norm`), by two dimensions or more (`matrix`), the last layer (`last`), or by a pattern of their
    names (`layers.0.*`, `*`). Every number of every rule is a setting, `optimizer.rules.NAME.lr`;
    `optimizer.lr` is a factor on the rates of all, on which the schedule acts. Presets compose it:
    `conf/optimizer/muon_adamw.yaml` has two rules, `adamw_last.yaml` one rule with two rates.
    """

    lr: float = number(1.0, at_least=0)
    rules: dict[str, Optimizer] = field(default_factory=dict)
    parameters: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("it has no rules; a preset such as optimizer=muon_adamw composes some")
        for name in self.rules.keys() ^ self.parameters.keys():
            lack = "rules" if name in self.parameters else "parameters"
            raise ValueError(f"{lack}.{name} is missing: each rule says which parameters it takes")

    def routes(self, layout: list[Parameter]) -> dict[str, Route]:
        left, routes = list(layout), {}
        fits = partial(_fits, last=_last(layout))
        for name, words in self.parameters.items():
            for word in words:
                if not any(fits(part, word) for part in layout):
                    fitting = [w for w in _WORDS if any(fits(part, w) for part in layout)]
                    known = options(word, [*fitting, *(part.name for part in layout)])
                    raise ValueError(f"parameters.{name}={word} fits no parameter; {known}")
            taken = [part for part in left if any(fits(part, word) for word in words)]
            if not taken:
                raise ValueError(f"rules.{name} takes no parameter: those before it take them all")
            routes[name] = Route(self.rules[name], taken)
            left = [part for part in left if part not in taken]
        if left:
            names = ", ".join(part.name for part in left)
            raise ValueError(f"no rule takes {names}; a last one with ['*'] takes what is left")
        return routes

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        raise NotImplementedError("its rules take the steps")


def _last(layout: list[Parameter]) -> int:
    """Return where the last layer begins: with the last parameter of two dimensions or more."""
    return max((part.start for part in layout if len(part.shape) > 1), default=0)


def _fits(part: Parameter, word: str, last: int) -> bool:
    if word == "matrix":
        return len(part.shape) > 1
    if word == "last":
        return part.start >= last
    return word == part.role or fnmatch(part.name, word)
