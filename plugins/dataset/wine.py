from experiments import Dataset, Splits, number, register
from plugins.dataset import _packaged, _split

FEATURES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280/od315_of_diluted_wines",
    "proline",
)


@register("wine")
class Wine(Dataset):
    """178 wines of three growers, by thirteen measurements, which come with scikit-learn.

    They are the "Wine" of the UCI repository (Forina et al., 1988).
    """

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0, repeats=True)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def load(self) -> Splits:
        table = _packaged.table("wine_data.csv", 178, 14)
        classes = ["class_0", "class_1", "class_2"]
        return _packaged.splits(self, "wine", table[:, :-1], table[:, -1], FEATURES, classes)
