"""What a line of a journal may hold, whoever wrote it."""

from typing import Any

import pytest

from experiments.runs import events

START: dict[str, Any] = {
    "event": "start", "time": 1, "run_id": "20260101-000000-abcdef", "parent_id": None,
    "experiment": "e", "name": "n", "overrides": ["seed=1"], "tags": {}, "params": {}, "config": {},
}  # fmt: skip
DEEP: Any = []
for _ in range(100):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ([], "no event"),
        ({"time": 1}, "no event"),
        ({"event": "tags", "values": {}}, "no time"),
        (START | {"time": -1}, "time cannot be -1"),
        (START | {"time": 1e300}, "time"),
        (START | {"run_id": "a' or '1'='1"}, "run_id"),
        (START | {"run_id": "../../x"}, "run_id"),
        (START | {"run_id": ""}, "run_id"),
        (START | {"parent_id": 7}, "parent_id"),
        (START | {"overrides": "seed=1"}, "overrides"),
        (START | {"overrides": [1]}, "overrides"),
        (START | {"tags": {"a": 1}}, "tags"),
        (START | {"config": DEEP}, "config"),
        (START | {"config": {"a": DEEP}}, "config"),
        (START | {"origin": []}, "origin"),
        ({"event": "metrics", "time": 1, "step": True, "values": {}}, "step"),
        ({"event": "metrics", "time": 1, "step": 1, "values": {"a": "1"}}, "values"),
        ({"event": "series", "time": 1, "first": 2**63, "values": {}}, "first"),
        ({"event": "artifact", "time": 1, "path": ["x"], "folder": ""}, "path"),
        ({"event": "end", "time": 1, "status": "ACTIVE"}, "status"),
        ({"event": "resume", "time": 1, "step": -5}, "step"),
    ],
)
def test_an_event_that_no_run_writes_is_none(event: Any, fault: str) -> None:
    assert fault in str(events.fault(event))
    with pytest.raises(ValueError, match="it"):
        events.decode(events.encode(event) if isinstance(event, dict) else b"00000000 []\n")


def test_what_a_run_writes_and_what_a_later_version_may_write_are_events() -> None:
    for event in (START, {"event": "of a later version", "time": 1, "more": DEEP[0]}):
        assert events.fault(event) is None
        assert events.decode(events.encode(event)) == event
