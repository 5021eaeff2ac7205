from experiments import Splits, register
from plugins.dataset import _drawn, _packaged

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
class Wine(_drawn.Drawn):
    """178 wines of three growers, by thirteen measurements, which come with scikit-learn.

    They are the "Wine" of the UCI repository (Forina et al., 1988).
    """

    def load(self) -> Splits:
        table = _packaged.table("wine_data.csv", 178, 14)
        classes = ["class_0", "class_1", "class_2"]
        return _packaged.splits(self, "wine", table[:, :-1], table[:, -1], FEATURES, classes)
