from experiments import Dataset, Splits, number, register
from plugins.dataset import _packaged, _split

MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
FEATURES = (
    *(f"mean {measure}" for measure in MEASURES),
    *(f"{measure} error" for measure in MEASURES),
    *(f"worst {measure}" for measure in MEASURES),
)


@register("breast_cancer")
class BreastCancer(Dataset):
    """569 tumours by thirty measurements of their cell nuclei, which come with scikit-learn.

    They are the "Breast Cancer Wisconsin (Diagnostic)" of the UCI repository (Street et al., 1993).
    """

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0, repeats=True)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def load(self) -> Splits:
        table = _packaged.table("breast_cancer.csv", 569, 31)
        classes = ["malignant", "benign"]
        return _packaged.splits(
            self, "breast_cancer", table[:, :-1], table[:, -1], FEATURES, classes
        )
