from experiments import Dataset, Splits, number, register
from plugins.dataset import _images, _mnist

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@register("fashion_mnist")
class FashionMNIST(Dataset):
    """70,000 pictures of clothes, 28 x 28 grey pixels (Xiao, Rasul & Vollgraf, 2017).

    The test split is the official one of 10,000; the val split is drawn from the other 60,000.
    """

    root: str = "data"  # the folder that holds FashionMNIST/raw
    download: bool = False
    val_fraction: float = number(0.1, at_least=0, below=1)  # 0: val is the test split
    split_seed: int = number(0, at_least=0)
    normalise: bool = True  # by mean and standard deviation; false: pixels from 0 to 1

    def load(self) -> Splits:
        spec = _images.spec(_mnist.SIDE, CLASSES, [0.2860], [0.3530], normalise=self.normalise)
        return _mnist.load(self, "FashionMNIST", spec)
