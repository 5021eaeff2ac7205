"""Which jobs of a sweep may train together: those that differ in numbers alone."""

import copy
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from experiments.errors import ConfigError, without_exit
from experiments.plugin import bounds, failure
from experiments.plugin.kinds import Plugin
from experiments.settings import Experiment, Vary

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_KEY = re.compile(r"\w+(\.[\w-]+)*")


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a sweep: its number, and the overrides that make it."""

    number: int
    overrides: Sequence[str]


@dataclass(kw_only=True, slots=True)
class Together:
    """Jobs of the same structure; `experiments` has one for each, `common` what they share."""

    common: list[str]
    jobs: list[Job] = field(default_factory=list)
    experiments: list[Experiment] = field(default_factory=list)
    numbers: list[dict[str, float]] = field(default_factory=list)  # of each job what differs

    def add(self, job: Job, experiment: Experiment, numbers: dict[str, float]) -> None:
        """Add a job."""
        self.jobs.append(job)
        self.experiments.append(experiment)
        self.numbers.append(numbers)

    def part(self, places: Sequence[int]) -> "Together":
        """Return some of the jobs."""
        part = Together(common=self.common)
        for place in places:
            part.add(self.jobs[place], self.experiments[place], self.numbers[place])
        return part


Composer = Callable[[Sequence[str]], tuple[Experiment, dict[str, Any]]]


def grouped(
    jobs: Sequence[Job], compose: Composer
) -> tuple[list[Together], dict[int, ConfigError]]:
    """Put jobs together that differ in numbers alone, and name those that do not compose.

    `compose` gives the experiment of overrides, and its settings as plain data with references.
    """
    compose = cache(compose)  # of a group's first job it is asked for twice
    groups: dict[tuple[str, ...], Together] = {}
    known: dict[tuple[str, ...], Mapping[str, dataclasses.Field[Any]]] = {}
    bases: dict[tuple[str, ...], tuple[Experiment, dict[str, Any]]] = {}
    wrong: dict[int, ConfigError] = {}
    for job in jobs:
        given = dict(_candidates(job.overrides))
        outline = outlined(job.overrides)
        try:
            if outline not in known:
                known[outline] = _free(*compose(tuple(job.overrides)))
            numbers = {key: v for key, v in given.items() if _is_free(key, v, known[outline])}
            common = [text for text in job.overrides if text.partition("=")[0] not in numbers]
            key = (*common, *sorted(numbers))
            if key not in bases:
                bases[key] = compose(tuple(job.overrides))
                groups[key] = Together(common=common)
            experiment = _varied(bases[key][0], numbers, known[outline])
        except ConfigError as error:
            wrong[job.number] = error
            continue
        groups[key].add(job, experiment, numbers)
    return [group for group in groups.values() if group.jobs], wrong


def varying(
    base: Experiment, plain: Mapping[str, Any]
) -> Callable[[Mapping[str, float]], Experiment | None]:
    """Return the function that gives an experiment other numbers.

    It returns None where runs may not differ in them, and raises ConfigError where one is wrong.
    """
    fields = _free(base, plain)

    def vary(numbers: Mapping[str, float]) -> Experiment | None:
        free = all(_is_free(key, value, fields) for key, value in numbers.items())
        return _varied(base, numbers, fields) if free else None

    return vary


def outlined(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return overrides with numbers left out, which decide what kind of plugins there are."""
    given = dict(_candidates(overrides))
    return tuple(t.partition("=")[0] if t.partition("=")[0] in given else t for t in overrides)


def number(line: str) -> dict[str, float]:
    """Return the number that an override gives a setting, by its key; none where it gives none."""
    return dict(_candidates([line]))


def _is_free(key: str, value: float, fields: Mapping[str, dataclasses.Field[Any]]) -> bool:
    """Say whether runs may differ in a number; a model may leave out what it has none of."""
    if key not in fields or (key.startswith("model.") and value == 0):
        return False
    # One of another type than the setting's is checked where a single run's is.
    return isinstance(value, int) or fields[key].type not in (int, "int")


def _candidates(overrides: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield the overrides that set a key to a number; of one key the last counts."""
    for text in overrides:
        key, _, value = text.partition("=")
        if _KEY.fullmatch(key) and _NUMBER.fullmatch(value):
            number = float(value) if re.search(r"[.eE]", value) else int(value)
            if abs(number) <= bounds.LARGEST:
                yield key, number


def _free(experiment: Experiment, plain: Mapping[str, Any]) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields by key in which runs may differ that train together.

    One that another setting refers to is none of them.
    """
    found: dict[str, dataclasses.Field[Any]] = {}
    for setting in dataclasses.fields(Experiment):
        part, vary = getattr(experiment, setting.name), setting.metadata["vary"]
        plugins = part if isinstance(part, dict) else {"": part}
        for own, plugin in plugins.items() if vary is not Vary.none else ():
            prefix = ".".join(name for name in (setting.name, own) if name)
            if isinstance(plugin, Plugin):
                found |= {f"{prefix}.{key}": f for key, f in _fields(plugin, vary)}
            else:
                found[prefix] = setting
    references = " ".join(_references(plain))
    return {key: f for key, f in found.items() if key not in references}


def _fields(plugin: Plugin, vary: Vary) -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Yield the numbers of a plugin in which runs may differ, and of plugins that it holds."""
    for one in dataclasses.fields(plugin):
        declared = vary is Vary.all or one.metadata.get("lanes", False)
        if declared and one.type in (float, "float") and not one.name.startswith("_"):
            yield one.name, one
        held = getattr(plugin, one.name)
        for name, inner in held.items() if isinstance(held, dict) else ():
            if isinstance(inner, Plugin):
                yield from ((f"{one.name}.{name}.{key}", f) for key, f in _fields(inner, vary))


def _references(plain: Any) -> Iterator[str]:
    if isinstance(plain, dict | list):
        for value in plain.values() if isinstance(plain, dict) else plain:
            yield from _references(value)
    elif isinstance(plain, str) and "${" in plain:
        yield plain


def _varied(
    base: Experiment, numbers: Mapping[str, float], fields: Mapping[str, dataclasses.Field[Any]]
) -> Experiment:
    """Return an experiment with other numbers; raise ConfigError where one is not allowed."""
    experiment = copy.copy(base)
    for key, value in numbers.items():
        own = fields[key]
        number = value if own.type in (int, "int") else float(value)
        if problem := bounds.problem(own, number):
            raise ConfigError(f"{key}={number}: {problem}.")
        _set(experiment, key.split("."), number, key)
    return experiment


def _set(owner: Any, path: Sequence[str], number: float, key: str) -> None:
    """Set a number below an experiment, in copies of all that it stands in."""
    name, *rest = path
    setattr(owner, name, _changed(getattr(owner, name), rest, number, key) if rest else number)


def _changed(owner: Any, path: Sequence[str], number: float, key: str) -> Any:
    """Return a copy of a plugin, or of several by name, with another number."""
    name, *rest = path
    if isinstance(owner, dict):
        return owner | {name: _changed(owner[name], rest, number, key)}
    value = _changed(getattr(owner, name), rest, number, key) if rest else number
    try:
        with without_exit():
            return dataclasses.replace(owner, **{name: value})
    except Exception as error:  # of the plugin's own __post_init__, whatever it is
        raise ConfigError(f"{key.rpartition('.')[0]}: {failure.reason(error)}") from error
