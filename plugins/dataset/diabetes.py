from experiments import Splits, register
from plugins.dataset import _drawn, _packaged

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
class Diabetes(_drawn.Drawn):
    """442 patients by ten measurements, which come with scikit-learn.

    The target is how far the illness was a year later (Efron et al., 2004): a regression.
    """

    def load(self) -> Splits:
        inputs = _packaged.table(
            "diabetes_data_raw.csv.gz", 442, len(FEATURES), delimiter=None, header=False
        )
        targets = _packaged.table("diabetes_target.csv.gz", 442, 1, header=False)
        return _packaged.splits(self, "diabetes", inputs, targets[:, 0], FEATURES)
