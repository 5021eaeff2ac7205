"""How the rows of a table are divided into splits."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from experiments import ConfigError, DataError
from plugins.dataset import _groups, _split
from plugins.dataset._table._rows import Rows
from plugins.dataset._table._target import Target


class Split(Enum):
    """How items are drawn."""

    random = "random"
    stratified = "stratified"
    time = "time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """The settings of splits; `val_path` and `test_path` are those with files of their own."""

    split: Split | None
    split_by: str | None
    time: str | None
    val_path: str | None
    test_path: str | None
    val_fraction: float
    test_fraction: float
    split_seed: int
    folds: int | None
    fold: int

    def __post_init__(self) -> None:
        shares = self._shares()
        _split.check(shares["val"], shares["test"], self.folds, self.fold)
        if (self.split is Split.time) != (self.time is not None):
            raise ValueError("split=time and time=COLUMN, whose order it takes, need each other")
        if self.split is Split.time and self.split_by is not None:
            raise ValueError("split=time and split_by divide in two ways; set one of them")
        if self.folds is not None and self.val_path is not None:
            raise ValueError("folds and val_path both give the val split; set one of them")

    def parts(self, rows: Rows, target: Target) -> _split.Parts:
        """Return the indices of the train, val and test rows.

        Raises ConfigError where numbers are to be stratified, and DataError where there are too
        few rows or groups.
        """
        if self.split is Split.stratified and not target.classes:
            raise ConfigError("dataset.split=stratified needs classes; set dataset.split=random.")
        files = torch.from_numpy(rows.files)
        try:
            train, *drawn = self._drawn(rows, target, (files == 0).nonzero().flatten())
        except DataError as error:
            raise DataError(f"{rows.source}: {error}") from error
        val, test = (
            (files == file).nonzero().flatten() if path is not None else part
            for file, path, part in zip((1, 2), (self.val_path, self.test_path), drawn, strict=True)
        )
        return train, val, test

    def _drawn(self, rows: Rows, target: Target, among: Tensor) -> list[Tensor]:
        """Divide the rows `among` all."""
        given = {**self._shares(), "folds": self.folds, "fold": self.fold}
        if rows.order is not None:
            parts = _split.divide_in_order(torch.tensor(rows.order.values)[among], **given)
            return [among[part] for part in parts]
        given["seed"] = self.split_seed
        stratified = target.classes and self.split is not Split.random
        strata = target.values[among] if stratified else torch.zeros(len(among))
        if rows.group is None:
            return [among[part] for part in _split.divide(strata, **given)]
        groups = torch.tensor(rows.group.values)[among]
        return [among[part] for part in _groups.divide(strata, groups, **given)]

    def _shares(self) -> dict[str, Any]:
        return {
            "val": 0.0 if self.val_path is not None else self.val_fraction,
            "test": 0.0 if self.test_path is not None else self.test_fraction,
        }
