"""From a sweeper's jobs to whatever launcher Hydra has, in groups, and back from the disk."""

import copy
import itertools
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from experiments.config import compose
from experiments.config.safety import ALONE, LOCAL
from experiments.errors import FullError
from experiments.process.isolation import isolated
from experiments.process.secrecy import clean
from experiments.runs import journal
from experiments.runs.folder import Folder
from experiments.runs.provenance import origin
from experiments.runs.result import FILE, Result, Status
from experiments.sweeps import console, groups, launchers, library, probe
from experiments.sweeps.groups import Together
from experiments.sweeps.jobs import identifying
from experiments.sweeps.library import Library
from experiments.sweeps.task import Task
from experiments.text import shortened

_PAUSE = 0.2  # seconds between two looks at the runs of other processes


class Launch:
    """Hands jobs to Hydra's launcher, those that differ in numbers alone as one job of its own.

    `hydra.launcher.max_lanes` and `probe` say how many train together, of any launcher; the one
    with `n_jobs` processes gets as many groups at least. Results are read from the disk, whoever
    ran the jobs.
    """

    def __init__(self, task: Task, context: HydraContext, config: DictConfig) -> None:
        settings = config.hydra.launcher
        self._is_local = settings._target_ in LOCAL
        self._is_alone = settings._target_ in ALONE
        self._workers = launchers.workers(settings.get("n_jobs"))
        self._most = 1 if self._is_alone else int(settings.get("max_lanes", task.most))
        self._task = replace(task, most=self._most, probe=bool(settings.get("probe", True)))
        self._config, self._loader = config, context.config_loader
        self._library = Library(task.reuse) if task.reuse is not None else None
        begun = library.begun(task.folder, task.run_id)
        self._new = (number for number in itertools.count() if number not in begun)
        self._begun: dict[tuple[str, ...], list[int]] = {}  # jobs that nobody has asked for yet
        # Of several with the same settings those that have not ended go on first: last in a list.
        order = [(job.folder.source.status in library.OVER, n) for n, job in begun.items()]
        for _, number in sorted(order, reverse=True):
            own = tuple(identifying(begun[number].overrides))
            self._begun.setdefault(own, []).append(number)
        loader: Any = launchers.Groups()
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=context.callbacks),
            task_function=self._task,
            config=launchers.bare(config, task.folder),
        )

    @property
    def is_local(self) -> bool:
        """Whether jobs run in this process, which can look at them meanwhile."""
        return self._is_local

    @property
    def is_stopped(self) -> bool:
        """Whether a job has failed and the others are not to be run."""
        return self._task.is_stopped

    def numbers(self, jobs: Sequence[Sequence[str]]) -> list[int]:
        """Return a number for each job: that of the same settings where it has begun, or a new one.

        So a sweep that goes on gives no job the result of another.
        """
        known = [self._begun.get(tuple(clean(identifying(lines))), []) for lines in jobs]
        numbers = [own.pop() if own else next(self._new) for own in known]
        folders = self._folders(numbers)
        self._task.jobs.update({number: own.path.name for number, own in folders.items()})
        return numbers

    def __call__(self, jobs: Mapping[int, list[str]]) -> dict[int, Result]:
        """Run jobs, of which there are the overrides by number, and return how each ended.

        Raises FullError where a disk is full: the jobs that are left wait for room.
        """
        folders = self._folders(jobs)
        parts = self._divided(jobs, folders)
        above = self._task.folder / launchers.ABOVE
        above.mkdir(exist_ok=True)
        first = 1 + max((int(path.stem) for path in above.glob("*.json")), default=-1)
        for name, part in enumerate(parts, start=first):
            facts = json.dumps(self._described(part, folders))
            (above / f"{name}.json").write_text(facts, encoding="utf-8")
        if parts:
            names = range(first, first + len(parts))
            self._launch([[f"lanes={name}"] for name in names], first, folders)
        results = {number: self._result(number, folders[number], jobs) for number in jobs}
        if self._task.full:
            raise self._task.full[0]
        return results

    def _launch(
        self, overrides: list[list[str]], first: int, folders: Mapping[int, Folder]
    ) -> None:
        if self._is_local:
            self._launcher.launch(overrides, initial_job_idx=first)
            return
        try:
            with compose.withdrawn():
                done = self._launcher.launch(overrides, initial_job_idx=first)
        except Exception as error:  # of a worker that has ended without a word
            print(f"warning: {shortened(str(error))}", file=sys.stderr)
            while any(map(_is_busy, folders.values())):
                time.sleep(_PAUSE)  # the others go on
        else:
            returned = [job._return_value for job in done]
            self._task.seconds.extend(value for value in returned if isinstance(value, float))
            self._task.full.extend(value for value in returned if isinstance(value, FullError))

    def _result(self, number: int, folder: Folder, jobs: Mapping[int, list[str]]) -> Result:
        """Return how a job ended, as the disk says; one without an end has failed."""
        task = self._task
        if number in task.failures:
            return Result(status=Status.failed, reason=task.failures[number])
        source = folder.source
        if source.status is Status.unfinished and task.is_stopped:
            return source.result
        if source.status in (Status.unfinished, Status.failed):
            result = source.result
            reason = "it came to no end" if source.exists else "its folder is gone"
            reason = result.reason if result.status is Status.failed else reason
            task.failures[number] = f"{task.name_of(number, jobs[number])}: {reason}"
            return replace(result, status=Status.failed, reason=reason)
        return source.result

    @isolated()
    def _divided(
        self, jobs: Mapping[int, list[str]], folders: Mapping[int, Folder]
    ) -> list[Together]:
        """Return the groups of the jobs whose results are not there."""
        numbered = [groups.Job(number, lines) for number, lines in jobs.items()]
        found, wrong = groups.grouped(numbered, compose.composer(self._compose))
        for number, error in wrong.items():
            self._task.tell(number, jobs[number], error, 0.0)
        parts: list[Together] = []
        known, sizes, alone = 0, list[int](), dict[int, str]()
        for group in found:
            left = self._left(group, folders)
            known += len(group.jobs) - len(left)
            reason = self._obstacle(group, len(left))
            for part in probe.divided(len(left), self._size(len(left), reason)):
                some = group.part([left[place] for place in part])
                parts.append(some)
                if reason:
                    alone |= {job.number: reason for job in some.jobs}
                else:
                    sizes.append(len(some.jobs))
        console.division(len(jobs), known, sizes, alone)
        return parts

    def _obstacle(self, group: Together, count: int) -> str | None:
        """Say why the jobs of a group go one by one, or None."""
        if count == 1:
            return "no other job has the same settings but for numbers"
        if self._is_alone:
            return "hydra/launcher=basic"
        if self._most < probe.FEWEST:
            return f"hydra.launcher.max_lanes={self._most}"
        return probe.obstacle(group.experiments[0])

    def _size(self, count: int, obstacle: str | None) -> int:
        """Return how many jobs of so many make a group, such that every process has one.

        Those that go one by one do so within it, and are composed once.
        """
        return max(1, min(count if obstacle else self._most, -(-count // self._workers)))

    def _left(self, group: Together, folders: Mapping[int, Folder]) -> list[int]:
        """Return the places of the jobs in a group whose results are not there."""
        code = origin(group.experiments[0]) if self._library else {}
        left = []
        for place, (job, own) in enumerate(zip(group.jobs, group.experiments, strict=True)):
            folder = folders[job.number]
            if library.ended(folder, self._task.id_of(job.number)) is not None:
                continue
            if folder.result.status is Status.failed:
                (folder.path / FILE).unlink()  # of a job that is begun anew
            known = None
            if self._library is not None and not folder.exists:
                known = self._library.find(own, code)
            if known is not None:
                folder.reuse(known, self._task.id_of(job.number), job.overrides)
            else:
                left.append(place)
        return left

    def _described(self, group: Together, folders: Mapping[int, Folder]) -> dict[str, Any]:
        """Return what the file of a group says of its jobs."""
        lanes = [
            {
                "number": job.number,
                "overrides": list(job.overrides),
                "numbers": numbers,
                "folder": folders[job.number].path.name,
            }
            for job, numbers in zip(group.jobs, group.numbers, strict=True)
        ]
        first = [f"{key}={value!r}" for key, value in group.numbers[0].items()]
        hydra: list[str] = compose.plain(self._config.hydra.overrides.hydra)
        return {"overrides": [*hydra, *group.common, *first], "lanes": lanes}

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self._loader.load_sweep_config(self._config, list(overrides))

    def _folders(self, numbers: Iterable[int]) -> dict[int, Folder]:
        """Return the folder of each job below the sweep's."""
        config, folders = copy.deepcopy(self._config), {}
        for number in numbers:
            with read_write(config), open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            folders[number] = Folder(self._task.folder / str(config.hydra.sweep.subdir))
        return folders


def _is_busy(folder: Folder) -> bool:
    return (folder.exists and folder.is_held) or journal.is_set_up(folder.path)
