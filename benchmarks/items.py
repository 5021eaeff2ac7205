"""Images as torchvision's FashionMNIST gives them, one at a time.

Its class wants the idx files unpacked beside each other, which a folder that may only be read
does not allow; what an item costs is the same here.
"""

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms

from benchmarks.data import Data
from benchmarks.torch_parts import tensors
from benchmarks.work import MEAN, STD


class Items(Dataset[tuple[Tensor, int]]):
    """Pairs of a normalised image [1, 28, 28] and its label."""

    def __init__(self, data: Data) -> None:
        self._images, self._labels = tensors(data)
        self._transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))]
        )

    def __len__(self) -> int:
        """Count the images."""
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return an image, by way of PIL, and its label."""
        image = Image.fromarray(self._images[index, 0].numpy(), mode="L")
        return self._transform(image), int(self._labels[index])
