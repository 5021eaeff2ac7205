"""The settings of data sets whose splits are drawn from all their items."""

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from experiments import Dataset, number
from plugins.dataset import _split


@dataclass(kw_only=True, slots=True)
class Drawn(Dataset):
    """Draws val and test from all items, or takes a fold of a cross-validation for val."""

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0, repeats=True)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def drawn(self, strata: Tensor, own: Collection[str] = ()) -> _split.Parts:
        """Return the places of the train, val and test items, each of `strata` giving its share.

        Of the splits that have items of their `own` none is drawn. Raises DataError where there
        are too few items.
        """
        return _split.divide(
            strata,
            val=0 if "val" in own else self.val_fraction,
            test=0 if "test" in own else self.test_fraction,
            seed=self.split_seed,
            folds=self.folds,
            fold=self.fold,
        )
