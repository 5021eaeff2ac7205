from experiments import Splits, register
from plugins.dataset import _drawn, _packaged

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
class BreastCancer(_drawn.Drawn):
    """569 tumours by thirty measurements of their cell nuclei, which come with scikit-learn.

    They are the "Breast Cancer Wisconsin (Diagnostic)" of the UCI repository (Street et al., 1993).
    """

    def load(self) -> Splits:
        table = _packaged.table("breast_cancer.csv", 569, 31)
        classes = ["malignant", "benign"]
        return _packaged.splits(
            self, "breast_cancer", table[:, :-1], table[:, -1], FEATURES, classes
        )
