from experiments import DataError, Splits, register
from plugins.dataset import _drawn, _packaged, _tensors

FILE, ITEMS, SIDE = "digits.csv.gz", 1797, 8


@register("digits")
class Digits(_drawn.Drawn):
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 16, which come with scikit-learn.

    They are the test part of the "Optical Recognition of Handwritten Digits" of the UCI repository
    (Alpaydin & Kaynak, 1998).
    """

    def load(self) -> Splits:
        table = _packaged.table(FILE, ITEMS, SIDE**2 + 1, header=False)
        pixels, labels = table[:, :-1], table[:, -1]
        if table.min() < 0 or pixels.max() > 16 or labels.max() > 9:
            path = _packaged.folder() / FILE
            raise DataError(f"{path}: expected pixels from 0 to 16 and labels from 0 to 9.")
        return _tensors.splits(
            pixels.byte().reshape(-1, 1, SIDE, SIDE),
            labels.long(),
            self.drawn(labels),
            classes=[str(digit) for digit in range(10)],
            source="sklearn.datasets.load_digits",
            one_scale=True,
        )
