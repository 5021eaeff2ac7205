"""The jobs of a sweep: the product of values, values side by side, the rows of a file, repeats."""

import csv
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from experiments.config import consent, limits, texts
from experiments.errors import ConfigError, options
from experiments.settings import Jobs
from experiments.text import as_value


def listed(
    choices: Mapping[str, Sequence[str]], sweep: Jobs, *, repeats: int, seed: int
) -> list[list[str]]:
    """Return the overrides of each job.

    `choices` maps a setting to the overrides that give it its values. Those that `sweep.zip` names
    go side by side, as do the columns of `sweep.file`; all else is a product. With `repeats` each
    job comes with as many seeds, from its own, or `seed`, on. Raises ConfigError.
    """
    rows = _rows(Path(sweep.file)) if sweep.file is not None else [[]]
    given = {line.partition("=")[0] for row in rows for line in row}
    several = {key for key, lines in choices.items() if len(lines) > 1}
    if both := given & several:
        raise ConfigError(f"{min(both)} is given twice: by sweep.file={sweep.file} too.")
    apart = {*sweep.zip, *given}  # a file's value wins over the one that all jobs were given
    axes = [[[line] for line in lines] for key, lines in choices.items() if key not in apart]
    axes += [_zipped(choices, sweep.zip), rows]
    limits.check_jobs([*map(len, axes), repeats])
    jobs = [list(itertools.chain(*parts)) for parts in itertools.product(*axes)]
    return [again for job in jobs for again in repeated(job, repeats, seed)]


def identifying(lines: Sequence[str]) -> list[str]:
    """Return the overrides without the leave to go on, which makes no other job of it."""
    return [line for line in lines if not line.startswith("resume_changed=")]


def digest(jobs: Sequence[Sequence[str]]) -> str:
    """Return a text that tells these jobs from others."""
    told = json.dumps([own for job in jobs if (own := identifying(job))])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def repeated(job: Sequence[str], repeats: int, seed: int) -> list[list[str]]:
    """Return a job with each of its seeds, which go up from its own, or from `seed`."""
    if repeats == 1:
        return [list(job)]
    own = [line.partition("=")[2] for line in job if line.startswith("seed=")]
    first = int(own[-1]) if own else seed
    rest = [line for line in job if not line.startswith("seed=")]
    return [[*rest, f"seed={first + n}"] for n in range(repeats)]


def _zipped(choices: Mapping[str, Sequence[str]], keys: Sequence[str]) -> list[list[str]]:
    """Return the first values of all keys, the second values, and so on."""
    for key in keys:
        if key not in choices:
            raise ConfigError(f"sweep.zip: {key} has no values; {options(key, choices)}")
    lengths = {key: len(choices[key]) for key in keys}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise ConfigError(f"sweep.zip: as many values of each are needed; {told}.")
    return [list(row) for row in zip(*(choices[key] for key in keys), strict=True)] or [[]]


def _rows(path: Path) -> list[list[str]]:
    """Return the overrides in each row of a csv file with a header, or item of a yaml list."""
    if path.exists() and not path.is_file():  # a pipe would be waited for, a device has no end
        raise ConfigError(f"sweep.file={path} is no file.")
    try:
        if path.suffix in (".yaml", ".yml"):
            limits.check_yaml(path)
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        else:
            found = _table(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"sweep.file={path} cannot be read: {reason}") from error
    if not isinstance(found, list) or not found or not all(isinstance(r, dict) for r in found):
        raise ConfigError(f"sweep.file={path}: it needs one job a row, each setting by its name.")
    rows = [[f"{key}={_text(value, path)}" for key, value in row.items()] for row in found]
    for row in rows:
        limits.check_lines(row)
        consent.check_shared(row)
    return [[texts.as_typed(line, several=False) for line in row] for row in rows]


def _table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a csv file, as a spreadsheet or an editor writes it."""
    with path.open(newline="", encoding="utf-8-sig") as file:  # a spreadsheet's begins with a mark
        delimiter = next((c for c in ";\t" if c in file.readline()), ",")  # no setting has one
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
        header, *rows = [[cell.strip() for cell in row] for row in reader if row] or [[]]
    if twice := {name for name in header if header.count(name) > 1}:
        raise ConfigError(f"sweep.file={path}: {min(twice)} is given twice.")
    for place, row in enumerate(rows, start=1):
        if len(row) != len(header):
            told = f"row {place} has {len(row)} cells, and {len(header)} settings have a name"
            raise ConfigError(f"sweep.file={path}: {told}; a cell with commas is in quotes.")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _text(value: object, path: Path) -> str:
    if value is None or isinstance(value, dict):
        raise ConfigError(f"sweep.file={path}: every row needs a value of each setting.")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        items = (as_value(i) if isinstance(i, str) else _text(i, path) for i in value)
        return f"[{','.join(items)}]"
    return str(value)
