from experiments import Splits, register
from plugins.dataset import _drawn, _packaged

FEATURES = (
    "sepal length (cm)",
    "sepal width (cm)",
    "petal length (cm)",
    "petal width (cm)",
)


@register("iris")
class Iris(_drawn.Drawn):
    """150 flowers of three species of iris, by four lengths, which come with scikit-learn.

    They are Anderson's, whom Fisher (1936) made known.
    """

    def load(self) -> Splits:
        table = _packaged.table("iris.csv", 150, 5)
        classes = ["setosa", "versicolor", "virginica"]
        return _packaged.splits(self, "iris", table[:, :-1], table[:, -1], FEATURES, classes)
