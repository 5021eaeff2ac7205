"""Models that are functions of their parameters: which data they take."""

from experiments import DataSpec, Task


def check(spec: DataSpec, features: int | None = None) -> None:
    """Raise ValueError where items are none of an objective, or not vectors of so many numbers."""
    size = spec.input_shape[0] if features is None and spec.input_shape else features
    if spec.task is not Task.objective or spec.input_shape != (size,):
        wanted = "vectors" if features is None else f"vectors [{features}]"
        raise ValueError(
            f"it takes {wanted} of an objective, such as dataset=noise, "
            f"not {[*spec.input_shape]} of a {spec.task.name}"
        )
