"""The task of items with targets, where a setting says which it is."""

from experiments import ConfigError, Task


def check(task: Task | None) -> None:
    """Raise ConfigError where items with targets are asked to be a function to minimise."""
    if task is Task.objective:
        raise ConfigError(
            "dataset.task=objective: items with targets are none; "
            "Allowed: classification, regression."
        )
