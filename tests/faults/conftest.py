"""What every test of faults shares: the mark, and how much of the list a run takes."""

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _is_whole(config: pytest.Config) -> bool:
    return "faults" in config.getoption("markexpr")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and keep those of the whole list for `-m faults`."""
    own = [item for item in items if item.path.is_relative_to(HERE)]
    for item in own:
        item.add_marker("faults")
    if _is_whole(config):
        return
    left_out = [item for item in own if item.get_closest_marker("whole")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Return how often to try: the first number in the whole list, the second in other runs."""
    whole = _is_whole(request.config)
    return lambda full, few: full if whole else few
