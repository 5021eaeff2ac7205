"""A file of finished trials, by which a study goes on; they are plain data, with no pickles."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from experiments.errors import ConfigError, StorageError
from experiments.text import shortened

_DESCRIPTION = "settings"  # the user attribute that says what the study is about
_DIRECTION = "hydra.sweeper.direction"
_WAIT = 60.0  # seconds for another process that writes


class Archive:
    """The finished trials of one study in an SQLite file.

    Raises ConfigError where the study is there and is about something else, StorageError where the
    file cannot be read or written.
    """

    def __init__(
        self, path: Path, name: str, description: Mapping[str, str], *, maximize: bool | None
    ) -> None:
        self._path = path
        self._name = name
        self._description = dict(description)
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._storage = optuna.storages.RDBStorage(
                "sqlite://",  # the path is no part of it: its characters could mean something
                engine_kwargs={
                    "creator": lambda: sqlite3.connect(path, timeout=_WAIT),
                    "poolclass": NullPool,
                },
            )
            known = optuna.get_all_study_names(self._storage)
            self._study = self._loaded(maximize) if name in known else None

    def trials(self) -> list[FrozenTrial]:
        """Return what has been kept."""
        with self._explained():
            return [] if self._study is None else self._study.get_trials()

    def maximizes(self) -> bool | None:
        """Say whether higher values are better; None if nothing has been kept."""
        return None if self._study is None else _maximizes(self._study)

    def keep(self, trial: FrozenTrial, *, maximize: bool) -> None:
        """Write a finished trial."""
        with self._explained():
            if self._study is None:
                self._study = optuna.create_study(
                    storage=self._storage, study_name=self._name, direction=_word(maximize)
                )
                self._study.set_user_attr(_DESCRIPTION, self._description)
            self._study.add_trial(trial)

    def close(self) -> None:
        """Let go of the file."""
        self._storage.remove_session()

    def _loaded(self, maximize: bool | None) -> optuna.Study:
        study = optuna.load_study(storage=self._storage, study_name=self._name)
        stored = _maximizes(study)
        was: dict[str, str] = study.user_attrs.get(_DESCRIPTION, {}) | {_DIRECTION: _word(stored)}
        now = self._description | {_DIRECTION: _word(stored if maximize is None else maximize)}
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                raise ConfigError(
                    f"The study '{self._name}' in {self._path} has {_told(key, was)}, and this "
                    f"command {_told(key, now)}; hydra.sweeper.study=NAME begins another study."
                )
        return study

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what a file or its system refuses as StorageError."""
        try:
            yield
        # RuntimeError: the file is of another version of the library.
        except (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, RuntimeError) as error:
            told = shortened(str(getattr(error, "orig", None) or error), 200)
            raise StorageError(
                f"{self._path} cannot keep the study: {told}; move the file away, "
                "or keep the study in memory with hydra.sweeper.storage=null."
            ) from error


def _maximizes(study: optuna.Study) -> bool:
    return study.direction is StudyDirection.MAXIMIZE


def _word(maximize: bool) -> str:
    return "maximize" if maximize else "minimize"


def _told(key: str, settings: Mapping[str, str]) -> str:
    return f"{key}={shortened(settings[key], 100)}" if key in settings else f"no {key}"
