from experiments import Dataset, Splits, number, register
from plugins.dataset import _packaged, _split

FEATURES = (
    "age",
    "sex",
    "bmi",
    "bp",
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
    "s6",
)


@register("diabetes")
class Diabetes(Dataset):
    """442 patients by ten measurements, which come with scikit-learn.

    The target is how far the illness was a year later (Efron et al., 2004): a regression.
    """

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0, repeats=True)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def load(self) -> Splits:
        inputs = _packaged.table(
            "diabetes_data_raw.csv.gz", 442, len(FEATURES), delimiter=None, header=False
        )
        targets = _packaged.table("diabetes_target.csv.gz", 442, 1, header=False)
        return _packaged.splits(self, "diabetes", inputs, targets[:, 0], FEATURES)
