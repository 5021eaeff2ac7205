"""The work of `python run.py model=mlp`, put together the usual way: Hydra, Lightning, MLflow."""

from pathlib import Path

import hydra
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import MLFlowLogger
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam
from torch.utils.data import DataLoader

from benchmarks.data import read
from benchmarks.items import Items

Batch = tuple[Tensor, Tensor]


class Classifier(LightningModule):
    """One hidden layer, trained by Adam."""

    def __init__(self, hidden: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self._lr = lr
        self._network = nn.Sequential(
            nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10)
        )

    def training_step(self, batch: Batch) -> Tensor:
        """Return a batch's loss, and log it."""
        inputs, targets = batch
        loss = cross_entropy(self._network(inputs), targets)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Log the loss and the accuracy of a batch; Lightning averages them."""
        inputs, targets = batch
        logits = self._network(inputs)
        self.log("val/loss", cross_entropy(logits, targets), prog_bar=True)
        self.log("val/accuracy", (logits.argmax(1) == targets).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> Adam:
        """Return Adam."""
        return Adam(self.parameters(), self._lr)


@hydra.main(version_base=None, config_path=".", config_name="lightning_process")
def main(config: DictConfig) -> None:
    """Train, and evaluate the test images after each epoch."""
    train, val = (Items(read(Path(config.root), part)) for part in ("train", "t10k"))
    options = {"num_workers": config.workers, "persistent_workers": True}
    logger = MLFlowLogger(tracking_uri=f"sqlite:///{config.output}/mlflow.db")
    logger.log_hyperparams(dict(config))
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=config.epochs,
        logger=logger,
        default_root_dir=config.output,
    )
    trainer.fit(
        Classifier(config.hidden, config.lr),
        DataLoader(train, config.batch_size, shuffle=True, **options),
        DataLoader(val, config.batch_size, **options),
    )


if __name__ == "__main__":
    main()
