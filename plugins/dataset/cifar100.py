from experiments import Dataset, Splits, number, register
from plugins.dataset import _cifar


@register("cifar100")
class CIFAR100(Dataset):
    """60,000 colour pictures of 32 x 32 pixels in 100 classes (Krizhevsky, 2009).

    The test split is the official one of 10,000; the val split is drawn from the other 50,000.
    """

    root: str = "data"  # the folder that holds cifar-100-python
    download: bool = False
    val_fraction: float = number(0.1, at_least=0, below=1)  # 0: val is the test split
    split_seed: int = number(0, at_least=0)
    normalise: bool = True  # by mean and standard deviation; false: pixels from 0 to 1

    def load(self) -> Splits:
        mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
        return _cifar.load(self, "CIFAR100", mean=mean, std=std)
