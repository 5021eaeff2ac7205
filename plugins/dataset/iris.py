from experiments import Dataset, Splits, number, register
from plugins.dataset import _packaged, _split

FEATURES = (
    "sepal length (cm)",
    "sepal width (cm)",
    "petal length (cm)",
    "petal width (cm)",
)


@register("iris")
class Iris(Dataset):
    """150 flowers of three species of iris, by four lengths, which come with scikit-learn.

    They are Anderson's, whom Fisher (1936) made known.
    """

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0, repeats=True)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def load(self) -> Splits:
        table = _packaged.table("iris.csv", 150, 5)
        classes = ["setosa", "versicolor", "virginica"]
        return _packaged.splits(self, "iris", table[:, :-1], table[:, -1], FEATURES, classes)
