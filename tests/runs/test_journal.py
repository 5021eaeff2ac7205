"""The journal: what was appended is read again, and damage ends the reading."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import ConfigError
from experiments.runs import journal
from experiments.runs.events import Event, encode
from experiments.runs.folder import Folder

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)

START: dict[str, Any] = {
    "parent_id": None, "experiment": "e", "name": "n", "overrides": [],
    "tags": {}, "params": {}, "config": {},
}  # fmt: skip


def tagged(number: int) -> Event:
    """Return an event with a number in it."""
    return {"event": "tags", "time": 1, "values": {"n": str(number)}}


@given(st.lists(st.dictionaries(st.text(min_size=1), JSON, max_size=3), max_size=5))
def test_events_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / journal.FILE
    events = [{**event, "event": "of a later version", "time": 1} for event in events]
    path.write_bytes(b"".join(map(encode, events)))
    assert [event for event, _ in journal.read(path)] == events
    assert [offset for _, offset in journal.read(path)][-1:] == [path.stat().st_size][: len(events)]


@pytest.mark.parametrize("cut", range(1, 30, 7))
def test_reading_stops_before_a_torn_line_and_goes_on_when_it_is_whole(
    tmp_path: Path, cut: int
) -> None:
    path = tmp_path / journal.FILE
    whole = [encode(tagged(k)) for k in range(3)]
    path.write_bytes(b"".join(whole)[:-cut])
    found = list(journal.read(path))
    assert len(found) == 2
    path.write_bytes(b"".join(whole))
    assert [event["values"]["n"] for event, _ in journal.read(path, found[-1][1])] == ["2"]


def test_reading_stops_before_a_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / journal.FILE
    lines = [encode(tagged(k)) for k in range(3)]
    lines[1] = lines[1].replace(b'"n":"1', b'"n":"7')
    path.write_bytes(b"".join(lines))
    assert len(list(journal.read(path))) == 1


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    tracker = journal.Journal(tmp_path)
    tracker.metrics(3, {"a": 1.5})
    tracker.series(1, {"b": [1.0, 2.0]})
    tracker.artifact("x.png", "figures")
    tracker.close()
    events = [event["event"] for event, _ in journal.read(tmp_path / journal.FILE)]
    assert events == ["metrics", "series", "artifact"]
    with pytest.raises(ConfigError, match="already holds a run"):
        journal.Journal(tmp_path)


def test_a_journal_is_there_from_its_first_event_on(tmp_path: Path) -> None:
    assert not journal.is_set_up(tmp_path)
    tracker = journal.Journal(tmp_path)
    assert journal.is_set_up(tmp_path)
    assert not (tmp_path / journal.FILE).exists()
    with pytest.raises(ConfigError, match="is busy"):
        journal.Journal(tmp_path)
    tracker.add("start", run_id="a", **START)
    assert journal.start_of(tmp_path)["run_id"] == "a"
    assert journal.is_held(tmp_path)
    assert not journal.is_set_up(tmp_path)
    tracker.close()
    assert [path.name for path in tmp_path.iterdir()] == [journal.FILE]


def test_a_journal_without_an_event_leaves_nothing(tmp_path: Path) -> None:
    journal.Journal(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [journal.FILE, "journal.new"])
def test_what_a_kill_left_before_the_first_event_is_no_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"" if name == journal.FILE else b'12345678 {"event":"sta')
    assert not Folder(tmp_path).exists
    tracker = journal.Journal(tmp_path)
    tracker.add("start", run_id="a", **START)
    tracker.close()
    assert [event["run_id"] for event, _ in journal.read(tmp_path / journal.FILE)] == ["a"]
