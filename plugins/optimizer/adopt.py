import torch
from torch import Tensor

from experiments import Optimizer, State, complement_range, ema, number, register
from plugins.optimizer import _spaces


@register("adopt")
class ADOPT(Optimizer):
    """Adam that converges with any β₂: v without the gradient it divides (Taniguchi et al., 2024).

    n = clip(g / max(√v, ε), ±(t − 1)^¼); m ← β₁ m + (1 − β₁) n; Δ = lr (m + λ θ); after it
    v ← β₂ v + (1 − β₂) g². The first step moves nothing: it sets v to g².

    The bound came with a later version of the paper. It counts steps from the second on, as in the
    authors' code and in optax; pytorch_optimizer counts from the first, so that the bound of the
    second step is 2^¼ and not 1, and decays at the first step too. ε is a least root, and not added
    to it.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.9999, at_least=0, below=1, space=complement_range(0.9, 0.9999))
    eps: float = number(1e-6, above=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        moves = t > 1
        bound = ((t - 1) ** 0.25).to(grad.dtype)  # 0 at the first step
        root = torch.maximum(state["v"].sqrt(), torch.as_tensor(self.eps, dtype=grad.dtype))
        n = torch.minimum(torch.maximum(grad / root, -bound), bound)
        m = ema(state["m"], n, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2 * moves)
        return self.lr * (m + self.weight_decay * moves * param), {"m": m, "v": v}
