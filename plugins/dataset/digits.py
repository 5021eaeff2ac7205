from experiments import DataError, Dataset, Splits, number, register
from plugins.dataset import _packaged, _split, _tensors

FILE, ITEMS, SIDE = "digits.csv.gz", 1797, 8


@register("digits")
class Digits(Dataset):
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 16, which come with scikit-learn.

    They are the test part of the "Optical Recognition of Handwritten Digits" of the UCI repository
    (Alpaydin & Kaynak, 1998).
    """

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0, repeats=True)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def load(self) -> Splits:
        table = _packaged.table(FILE, ITEMS, SIDE**2 + 1, header=False)
        pixels, labels = table[:, :-1], table[:, -1]
        if table.min() < 0 or pixels.max() > 16 or labels.max() > 9:
            path = _packaged.folder() / FILE
            raise DataError(f"{path}: expected pixels from 0 to 16 and labels from 0 to 9.")
        return _tensors.splits(
            pixels.byte().reshape(-1, 1, SIDE, SIDE),
            labels.long(),
            classes=[str(digit) for digit in range(10)],
            val=self.val_fraction,
            test=self.test_fraction,
            seed=self.split_seed,
            folds=self.folds,
            fold=self.fold,
            source="sklearn.datasets.load_digits",
            one_scale=True,
        )
