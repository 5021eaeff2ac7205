"""What augmentations of images ask of the data."""

from experiments import DataSpec


def check(spec: DataSpec) -> None:
    """Raise ValueError where items are no images."""
    if len(spec.input_shape) != 3:
        raise ValueError(f"it takes images [channels, height, width], not {spec.input_shape}")
