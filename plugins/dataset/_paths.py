"""Find files and folders that a user names."""

from pathlib import Path

from experiments import DataError


def locate(name: str, *parts: str) -> Path:
    """Return the path of `parts` below `name`, whose `~` is the user's home.

    Raises DataError where there can be no such path, or it may not be looked at.
    """
    try:
        path = Path(name).expanduser().joinpath(*parts)
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{name}: cannot be looked at: {error}.") from error
    return path
