"""What Hydra and omegaconf raise, as one line: key, value, allowed, nearest name."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import errors

from experiments.config import texts, validation
from experiments.errors import ConfigError, options
from experiments.plugin import discovery, failure, registry
from experiments.text import shortened


def translated(error: Exception) -> ConfigError:
    """Return Hydra's or omegaconf's error as one line: key, value, allowed, nearest."""
    if isinstance(error, MissingConfigException):
        return ConfigError(_no_such_option(error))
    if isinstance(error, RecursionError):
        return ConfigError("The settings refer to each other in a circle, or are too deep.")
    if isinstance(error, OverrideParseException):
        line, typed = shortened(error.override, 100), texts.pasted(error.override)
        hint = f"as one text it is {typed}" if typed else "texts are in quotes, key='value'"
        return ConfigError(f"'{line}' is no setting of the form key=value; {hint}")
    cause: BaseException = error
    setting = str(error).partition("Error merging override ")[2]
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, errors.OmegaConfBaseException) and cause.full_key:
        told = validation.one_line(cause)
        # Of some items omegaconf knows the last name only.
        lost = "." not in str(cause.full_key) and "." in setting.partition("=")[0]
        return ConfigError(f"{shortened(setting, 100)}: {told}" if lost else told)
    return ConfigError(" ".join(str(failure.explained(error)).split()))


@contextmanager
def translating() -> Iterator[None]:
    """Raise what Hydra and omegaconf raise as ConfigError."""
    try:
        yield
    except (HydraException, errors.OmegaConfBaseException) as error:
        raise translated(error) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise translated(error) from error


def _no_such_option(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    group, _, name = missing.rpartition("/")
    if cause := discovery.broken(name):
        return cause
    known = error.options or list(registry.plugins(group) if group in registry.KINDS else ())
    return f"There is no {group}={name}; {options(name, known)}" if group else str(error)
