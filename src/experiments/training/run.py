"""One run, from its start to its end, whichever way that is."""

import logging
from pathlib import Path

from experiments.errors import DivergedError, explained
from experiments.plugin import registry
from experiments.runs import checkpoints, provenance, results
from experiments.runs.provenance import Identity
from experiments.runs.results import Result
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.training import divergence
from experiments.training.resume import Earlier
from experiments.training.session import Session, prepare
from experiments.training.train import Training

log = logging.getLogger(__name__)


def execute(
    experiment: Experiment,
    tracker: Tracker,
    identity: Identity,
    root: Path,
    *,
    session: Session | None = None,
    earlier: Earlier | None = None,
) -> Result:
    """Run an experiment, and record how it ends whichever way that is.

    `root` is the checkout; a session that is prepared already saves doing so again; an `earlier`
    part of the same run is gone on with. Raises what stopped the run.
    """
    start = earlier.start if earlier else provenance.start_event(experiment, identity, root)
    if not earlier:
        tracker.add("start", **start)
    status = "KILLED"
    try:
        session = session or prepare(experiment)
        training = Training(session, tracker, start["run_id"], identity.job)
        if earlier:
            digest = provenance.dataset_event(session.splits, "")["digest"]
            earlier.check_data(digest, allowed=experiment.resume_changed)
            training.go_on(earlier)
        if not (earlier and earlier.digests):  # it may have been killed before it was recorded
            results.write(tracker, "tensors.txt", training.show_tensors())
            results.write_patch(tracker, root)
            dataset = registry.name_of(type(session.experiment.dataset))
            event = provenance.dataset_event(session.splits, dataset)
            results.record_origin(session, tracker, start["config"], event)
        last, reason = training.train()
        result = training.conclude(last, reason)
        results.announce(result, training.history, log)
        results.hand_over(session, tracker, training.history, result, start)
        status = "FINISHED"
    except Exception as error:
        status = "FAILED"
        told = explained(error)
        if isinstance(error, DivergedError):
            told = _located(error, experiment, tracker, start["run_id"])
        if told is not error:
            told.__cause__ = error
        results.record_failure(tracker, told)
        raise told from told.__cause__
    finally:
        results.end(tracker, status)
    return result


def _located(
    error: DivergedError, experiment: Experiment, tracker: Tracker, run_id: str
) -> DivergedError:
    """Return the error of a run that diverged with what its last steps show when taken again."""
    folder = tracker.folder
    try:
        content = checkpoints.newest(folder, run_id, tracker.position()) if folder else None
        found = divergence.found(prepare(experiment), content, error.t)
    except Exception as other:  # it must not hide why the run ended
        log.warning("The last steps could not be taken again: %s", other)
        return error
    return DivergedError(f"{error} {found}".rstrip(), error.t)
