from enum import Enum

import torch

from experiments import ConfigError, Splits, number, register
from plugins.dataset import _drawn, _images, _paths
from plugins.dataset._picture import _folders, _inspection, _pictures, _pixels, _tree


class Normalise(Enum):
    """Whose mean and standard deviation images are normalised by, or none: they are 0 to 1."""

    train = "train"
    imagenet = "imagenet"
    none = "none"


class Links(Enum):
    """What becomes of links that lead out of the root."""

    refuse = "refuse"
    follow = "follow"


class Broken(Enum):
    """What becomes of files that are no images."""

    error = "error"
    skip = "skip"


@register("image_folder")
class ImageFolder(_drawn.Drawn):
    """Your own images: one folder a class, below `root`, or below `root`/train, val and test.

    An image is what a viewer shows: upright, of an animation the first frame, transparent pixels
    over the `background`. Its shorter side is scaled to `size` and the middle cut out. Files are
    decoded once where that fits in memory, else each time they are used, so `data.workers` helps.
    Where there is `root`/train, a missing val or test folder is made up for by its fraction of
    train; otherwise `root` is divided. Hidden files and folders are left out.
    """

    root: str
    size: int = number(64, at_least=1)
    grey: bool = False
    background: str = "white"  # a colour's name, or #rrggbb
    normalise: Normalise = Normalise.train  # whose mean and standard deviation; none: 0 to 1
    links: Links = Links.refuse  # those that lead out of root
    broken: Broken = Broken.error  # files that are no images

    def __post_init__(self) -> None:
        super().__post_init__()
        _pixels.check(self.background)

    def load(self) -> Splits:
        root = _paths.locate(self.root)
        tree = _tree.Tree(root, follow=self.links is Links.follow)
        classes, found, notes = _folders.find(tree)
        inspection = _inspection.inspect(
            [file for items in found.values() for file, _ in items],
            _pixels.Form(self.size, self.grey, self.background),
            root=root,
            resident=self.resident,
            skip=self.broken is Broken.skip,
        )
        left = _folders.without(inspection.broken, found, classes, root)
        parts = [_pictures.Pictures(part, inspection.form) for part in self._divided(left)]
        train, val, test = _pictures.in_memory(parts, root) if inspection.resident else parts
        mean, std = _images.IMAGENET_GREY if self.grey else _images.IMAGENET
        if self.normalise is Normalise.train:
            mean, std = _images.figures(_pictures.some(parts[0], train, root))
        normalise = self.normalise is not Normalise.none
        return Splits(
            spec=_images.spec(self.size, classes, mean, std, normalise=normalise),
            train=train,
            val=val,
            test=test,
            source=str(root),
            reason=f"{len(classes)} folders, one a class",
            notes=(*inspection.notes, *notes),
            # What is in memory is compared by the pixels, whatever the data set.
            warnings=() if inspection.resident else tuple(_pictures.leaks(*parts)),
        )

    def _divided(self, found: dict[str, _folders.Items]) -> list[_folders.Items]:
        """Return the items of train, val and test."""
        if self.folds and "val" in found:
            raise ConfigError(f"dataset.folds={self.folds}: {self.root} has a val folder already")
        items = found["train"]
        drawn = self.drawn(torch.tensor([label for _, label in items]), own=found)
        train, val, test = ([items[i] for i in part.tolist()] for part in drawn)
        return [train, found.get("val", val), found.get("test", test)]
