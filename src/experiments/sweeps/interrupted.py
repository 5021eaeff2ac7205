"""A sweep of the same command that was interrupted, and whether it can go on as it was."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hydra import initialize_config_dir

from experiments.config import compose
from experiments.errors import ConfigError
from experiments.process.secrecy import clean
from experiments.runs import enclosure
from experiments.runs.folder import Folder, runs_in
from experiments.settings import TrackingMode
from experiments.sweeps import groups, library
from experiments.sweeps.jobs import digest, identifying
from experiments.sweeps.library import Begun
from experiments.sweeps.plan import JOB, Plan
from experiments.training.resume import differences


def config_of(overrides: Sequence[str], plan: Plan) -> dict[str, str]:
    """Return what the journal of a sweep says of its settings, and of the jobs they come to."""
    return {"sweep": clean(" ".join(identifying(overrides))), "jobs": digest(plan.jobs)}


def unfinished(plan: Plan, overrides: Sequence[str], root: Path, name: str) -> Path | None:
    """Return the folder of a sweep of this command that has not come to its end.

    It is of the same settings, code and data. Raises ConfigError where the folder that is asked for
    holds another sweep, and DataError where links lead out of what is found.
    """
    config, here = config_of(overrides, plan), Folder(plan.folder)
    found = here if here.exists else _found(plan, config)
    if found is None or found.is_held:
        return None
    enclosure.check_plain(found.path)
    if is_other := found.start["config"] != config:
        changes = "its jobs are others now"
    elif found.end not in (None, "KILLED"):
        return None
    else:
        changes = _changes(found, plan, root, name)
    if not changes:
        print(f"goes on with the sweep in {found.path}, which was interrupted", flush=True)
        return found.path
    if here.exists and is_other:
        raise ConfigError(f"The folder {found.path} is that of another sweep; name another.")
    if here.exists:
        raise ConfigError(f"The sweep in {found.path} cannot go on: {changes}.")
    told = f"begins a new sweep, instead of the one in {found.path}, which was interrupted"
    print(f"{told}: {changes}", flush=True)
    return None


def _found(plan: Plan, config: Mapping[str, str]) -> Folder | None:
    """Return the last sweep of a command that was interrupted, if there is with the same jobs."""
    if plan.experiment.tracking.mode is TrackingMode.none:
        return None
    found = [
        (folder.start["config"] == config, folder.path)
        for folder in runs_in(Path(plan.experiment.output))
        if folder.start["config"].get("sweep") == config["sweep"]
        and not folder.is_held
        and folder.end in (None, "KILLED")
    ]
    return Folder(max(found)[1]) if found else None


def _changes(sweep: Folder, plan: Plan, root: Path, name: str) -> str:
    """Say in what the jobs of a sweep that have begun are no longer those of its command."""
    jobs = library.begun(sweep.path, sweep.start["run_id"])
    for number, job in jobs.items():
        if job.folder.exists and job.folder.is_held:
            raise ConfigError(
                f"The sweep in {sweep.path} is busy: another process trains its job {number}; "
                "wait until that has ended."
            )
    if plan.experiment.resume_changed:
        return ""
    with initialize_config_dir(str(root / "conf"), version_base="1.3", job_name=JOB):
        found = next(_all_changes(jobs, plan, name), None)
    more = "; resume_changed=true goes on all the same, and records that"
    return found + more if found else ""


def _all_changes(begun: Mapping[int, Begun], plan: Plan, name: str) -> Iterator[str]:
    known = {_unquoted(line) for job in plan.jobs for line in job}
    varied = plan.varied | {"seed"}  # which repeats give each job
    for number, job in begun.items():  # a journal may hold anything, which is not to be composed
        for line in identifying(job.overrides):
            if _unquoted(line) not in known and not varied & groups.number(line).keys():
                yield f"job {number}: {line} is none of this command's settings"
    hydra = compose.plain(plan.config.hydra.overrides.hydra)
    composer = compose.composer(lambda lines: compose.composed(name, [*hydra, *lines]))
    jobs = [groups.Job(n, job.overrides) for n, job in begun.items() if job.folder.exists]
    found, wrong = groups.grouped(jobs, composer)
    for number, error in wrong.items():
        yield f"job {number}: {error}"
    digests = library.Digests()
    for together in found:
        for own, experiment in zip(together.jobs, together.experiments, strict=True):
            folder = begun[own.number].folder
            for change in differences(folder.start, experiment):
                yield f"job {own.number}: {change}"
            if folder.data not in (None, now := digests.of(experiment)):
                yield f"job {own.number}: the data: {folder.data} then, {now} now"


def _unquoted(line: str) -> str:
    """Return a setting as a journal has it, however a search and a command line quote names."""
    return re.sub(r"[\\'\"]", "", clean(line))
