"""Find plugins: in the checkout, in the folders of `plugin_path`, and in installed packages."""

import importlib
import importlib.util
import sys
import warnings
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from experiments.errors import ConfigError, without_exit
from experiments.plugin import failure

ENTRY_POINTS = "experiments.plugins"

# Plugin name -> why its file could not be imported.
_broken: dict[str, str] = {}


def discover(root: Path, plugin_path: Iterable[str] = ()) -> None:
    """Import every plugin of the checkout at `root`, of more folders, and of packages.

    A file that does not import is reported by one warning, and what it would have registered is
    missing. Raises ConfigError where a folder is absent or two plugins share kind and name.
    """
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    for file in _modules(root / "plugins"):
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        _attempt(file.stem, str(file), module, partial(importlib.import_module, module))
    for folder in (Path(given).expanduser().resolve() for given in plugin_path):
        if not folder.is_dir():
            raise ConfigError(f"plugin_path={folder} is no folder.")
        for file in _modules(folder):
            _attempt(file.stem, str(file), module_name(file), partial(import_file, file))
    for entry in entry_points(group=ENTRY_POINTS):
        _attempt(entry.name, f"the entry point {entry.value}", entry.module, entry.load)


def module_name(file: Path) -> str:
    """Return what the module of a plugin's file from anywhere is called in every process."""
    return f"experiments_plugin_{file.stem}_{zlib.crc32(str(file).encode()):08x}"


def import_file(file: Path) -> None:
    """Import one plugin file from anywhere."""
    name = module_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def broken(name: str) -> str | None:
    """Say why the plugin file of this name could not be imported, if one could not."""
    return _broken.get(name)


def _modules(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    return [f for f in files if not any(part.startswith(("_", ".")) for part in f.parts[-2:])]


def _attempt(name: str, where: str, module: str, load: Callable[[], object]) -> None:
    try:
        with without_exit():
            load()
    except ConfigError:
        raise
    except Exception as error:  # whatever a user's file raises while it is imported
        _broken[name] = f"{where} does not import: {failure.told(error, module)}"
        warnings.warn(_broken[name], stacklevel=2)
