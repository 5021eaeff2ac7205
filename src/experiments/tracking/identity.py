"""Which run of MLflow is that of a journal, and how those of a sweep find each other."""

from collections.abc import Callable

from mlflow.entities import RunTag

from experiments.runs.events import Event
from experiments.tracking.client import Client

RUN_ID = "experiments.run_id"  # the tag that holds our id of a run
_PARENT_ID = "experiments.parent_id"
_PARENT = "mlflow.parentRunId"


def identify(client: Client, experiment: str, start: Event, moved: Callable[[], None]) -> str:
    """Return the id in MLflow of a run that starts, which is made where there is none.

    Whichever of a sweep and its job comes last to the store joins them. That is done again whenever
    the start is sent again, as the store may have died between making the run and joining it.
    """
    found = client.find_runs(experiment, RUN_ID, start["run_id"])
    own = found[0] if found else _made(client, experiment, start)
    moved()
    joined = [(child, own) for child in client.find_runs(experiment, _PARENT_ID, start["run_id"])]
    if start["parent_id"]:
        parents = client.find_runs(experiment, RUN_ID, start["parent_id"])
        joined += [(own, parent) for parent in parents]
    for child, parent in joined:
        client.log_batch(child, tags=[RunTag(_PARENT, parent)])
        moved()
    return own


def _made(client: Client, experiment: str, start: Event) -> str:
    tags = {RUN_ID: start["run_id"]}
    if start["parent_id"]:
        tags[_PARENT_ID] = start["parent_id"]
    made = client.add_run(experiment, start["time"], tags, start["name"])
    client.commit()  # before it has artifacts, whose folder another run of MLflow would not find
    return made
