from torch import Tensor

from experiments import DataError, Dataset, Splits, number, register
from plugins.dataset import _images, _paths, _pictures, _split


@register("image_folder")
class ImageFolder(Dataset):
    """Your own images: one folder a class, below `root`, or below `root`/train, val and test.

    An image's shorter side is scaled to `size` and the middle cut out. Files are decoded once where
    that fits in memory, else each time they are used, so `data.workers` helps. Where there is
    `root`/train, a missing val or test folder is made up for by its fraction of train; otherwise
    `root` is divided. Links must not lead out of `root`. Colours are normalised by ImageNet's mean
    and standard deviation.
    """

    root: str
    size: int = number(64, at_least=1)
    grey: bool = False
    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction)

    def load(self) -> Splits:
        root = _paths.locate(self.root)
        train = root / "train" if (root / "train").is_dir() else root
        # Without a train folder, val and test can only be names of classes.
        own = {split: train != root and (root / split).is_dir() for split in ("val", "test")}
        classes, files, targets = _pictures.complete(train, within=root)
        if len(classes) < 2:
            raise DataError(f"{train}: expected at least 2 folders of a class, found 1.")
        indices = _split.divide(
            targets,
            val=0 if own["val"] else self.val_fraction,
            test=0 if own["test"] else self.test_fraction,
            seed=self.split_seed,
        )
        parts = [self._pictures([files[i] for i in part], targets[part]) for part in indices]
        val, test = (
            self._pictures(*_pictures.scan(root / split, classes, within=root))
            if own[split]
            else part
            for split, part in zip(own, parts[1:], strict=True)
        )
        mean, std = _images.IMAGENET_GREY if self.grey else _images.IMAGENET
        spec = _images.spec(self.size, classes, mean, std)
        return Splits(spec=spec, train=parts[0], val=val, test=test, source=str(root), fixed=True)

    def _pictures(self, files: list[str], targets: Tensor) -> _pictures.Pictures:
        return _pictures.Pictures(files, targets, size=self.size, grey=self.grey)
