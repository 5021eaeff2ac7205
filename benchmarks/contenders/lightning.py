"""Lightning with its extras off, over the same DataLoader as `dataloader`.

The start of each `fit`, about 10 ms, counts: it is what a call costs.
"""

import logging
import warnings

from lightning import LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.data import Data
from benchmarks.torch_parts import network, normalise, optimizer, tensors
from benchmarks.work import Take, Work

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class Classifier(LightningModule):
    """The work's network with its loss."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work, self._network = work, network(work)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return a batch's loss."""
        inputs, targets = batch
        return cross_entropy(self._network(normalise(inputs)), targets)

    def configure_optimizers(self) -> Optimizer:
        """Return the work's optimizer."""
        return optimizer(self._work, self.parameters())


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    items = TensorDataset(*tensors(data))
    loader = DataLoader(items, work.batch_size, shuffle=True, drop_last=True)
    model = Classifier(work)

    def take(n: int) -> None:
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=-1,
            max_steps=n,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, loader)

    return take
