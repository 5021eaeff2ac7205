from experiments import Dataset, Splits, number, register
from plugins.dataset import _images, _mnist


@register("mnist")
class MNIST(Dataset):
    """70,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes & Burges, 1998).

    The test split is the official one of 10,000; the val split is drawn from the other 60,000.
    """

    root: str = "data"  # the folder that holds MNIST/raw
    download: bool = False
    val_fraction: float = number(0.1, at_least=0, below=1)  # 0: val is the test split
    split_seed: int = number(0, at_least=0)
    normalise: bool = True  # by mean and standard deviation; false: pixels from 0 to 1

    def load(self) -> Splits:
        classes = [str(digit) for digit in range(10)]
        spec = _images.spec(_mnist.SIDE, classes, [0.1307], [0.3081], normalise=self.normalise)
        return _mnist.load(self, "MNIST", spec)
