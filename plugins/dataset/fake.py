import torch
from torch.utils.data import Subset

from experiments import Dataset, Splits, number, register
from plugins.dataset import _images, _split


@register("fake")
class Fake(Dataset):
    """Random pixels with random labels, drawn one by one, to try sizes and speeds.

    They are torchvision's `FakeData`; there is nothing to learn, and labels are not stratified.
    """

    items: int = number(1000, at_least=3)
    size: int = number(32, at_least=1)
    grey: bool = False
    classes: int = number(10, at_least=2)
    seed: int = number(0, at_least=0, below=2**31)
    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction)

    def load(self) -> Splits:
        from torchvision.datasets import FakeData
        from torchvision.transforms import PILToTensor

        channels = 1 if self.grey else 3
        images = FakeData(
            size=self.items,
            image_size=(channels, self.size, self.size),
            num_classes=self.classes,
            transform=PILToTensor(),
            # FakeData draws item i from the seed i + offset.
            random_offset=self.seed * self.items,
        )
        parts = _split.divide(
            torch.zeros(self.items),
            val=self.val_fraction,
            test=self.test_fraction,
            seed=self.seed,
        )
        train, val, test = (Subset(images, part.tolist()) for part in parts)
        names = [str(label) for label in range(self.classes)]
        return Splits(
            # Bytes that are all equally likely have these moments, but for the rounding.
            spec=_images.spec(self.size, names, mean=[0.5] * channels, std=[0.2887] * channels),
            train=train,
            val=val,
            test=test,
            source=f"torchvision.datasets.FakeData, seed {self.seed}",
        )
