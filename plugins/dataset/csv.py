from dataclasses import field

import torch
from torch import Tensor

from experiments import ConfigError, DataError, Dataset, Splits, Task, number, options, register
from plugins.dataset import _paths, _split, _table, _tensors

FEW = 20  # different integers that are taken for classes


@register("csv")
class CSV(Dataset):
    """A table of your own: a line of names, then a line an item.

    A column at least half of which are numbers is an input; any other is one input for each of its
    different words (one-hot). A cell that is empty, or no number in a column of numbers, is an
    error. Without a `task`, words or few different integers to predict make it a classification.
    """

    path: str
    target: str | None = None  # the column to predict; null: the last
    task: Task | None = None
    ignore: list[str] = field(default_factory=list)  # columns to leave out
    delimiter: str = ","  # one character, or tab
    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction)
        if self.delimiter != "tab" and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(f"delimiter={self.delimiter!r} must be one character, or tab")

    def load(self) -> Splits:
        path = _paths.locate(self.path)
        table = _table.read(path, "\t" if self.delimiter == "tab" else self.delimiter)
        target = self._target(table)
        targets, classes = self._targets(table, target)
        names = [name for name in table.columns if name not in {target, *self.ignore}]
        if not names:
            raise DataError(f"{path}: expected columns beside '{target}', found none.")
        inputs = torch.cat([table.features(name) for name in names], dim=1).float()
        return _tensors.splits(
            inputs,
            targets,
            classes=classes,
            val=self.val_fraction,
            test=self.test_fraction,
            seed=self.split_seed,
            source=str(path),
        )

    def _target(self, table: _table.Table) -> str:
        target = [*table.columns][-1] if self.target is None else self.target
        for key, name in [("target", target), *(("ignore", name) for name in self.ignore)]:
            if name not in table.columns:
                allowed = options(name, table.columns)
                raise ConfigError(
                    f"dataset.{key}={name}: {table.path} has no such column; {allowed}"
                )
        return target

    def _targets(self, table: _table.Table, target: str) -> tuple[Tensor, list[str]]:
        """Return the targets [N] and the names of their classes, of which a regression has none."""
        if self.task is Task.regression:
            return table.numbers(target).float(), []
        if not table.is_numeric(target):
            classes, targets = table.words(target)
        else:
            numbers = table.numbers(target)
            values, targets = torch.unique(numbers, return_inverse=True)
            few = len(values) <= min(FEW, len(numbers) // 2)
            if self.task is None and not (few and bool((values == values.round()).all())):
                return numbers.float(), []
            classes = [f"{value:.15g}" for value in values.tolist()]
        if len(classes) < 2:
            raise DataError(f"{table.path}: expected 2 classes in '{target}', found {classes}.")
        return targets, classes
