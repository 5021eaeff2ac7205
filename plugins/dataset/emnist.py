from enum import Enum
from string import ascii_lowercase, ascii_uppercase, digits

from experiments import Dataset, Splits, number, register
from plugins.dataset import _images, _mnist

# In a merged set the small letters that look unlike their capitals have classes of their own.
MERGED = digits + ascii_uppercase + "abdefghnqrt"
CLASSES = {
    "byclass": digits + ascii_uppercase + ascii_lowercase,
    "bymerge": MERGED,
    "balanced": MERGED,
    "letters": ascii_lowercase,
    "digits": digits,
    "mnist": digits,
}


class Part(Enum):
    """The six selections that EMNIST is published in."""

    byclass = "byclass"
    bymerge = "bymerge"
    balanced = "balanced"
    letters = "letters"
    digits = "digits"
    mnist = "mnist"


@register("emnist")
class EMNIST(Dataset):
    """Handwritten digits and letters of 28 x 28 pixels (Cohen et al., 2017), turned upright.

    The test split is the official one; the val split is drawn from the train part. Letters are
    numbered from 0, and not from 1 as in the files. Mean and standard deviation are those of the
    balanced part.
    """

    split: Part = Part.balanced
    root: str = "data"  # the folder that holds EMNIST/raw
    download: bool = False
    val_fraction: float = number(0.1, at_least=0, below=1)  # 0: val is the test split
    split_seed: int = number(0, at_least=0)
    normalise: bool = True  # by mean and standard deviation; false: pixels from 0 to 1

    def load(self) -> Splits:
        part = self.split.value
        return _mnist.load(
            self,
            "EMNIST",
            _images.spec(_mnist.SIDE, CLASSES[part], [0.1751], [0.3332], normalise=self.normalise),
            prefixes=(f"emnist-{part}-train", f"emnist-{part}-test"),
            transposed=True,
            first_label=1 if self.split is Part.letters else 0,
            split=part,
        )
