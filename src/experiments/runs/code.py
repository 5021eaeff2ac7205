"""Plugins' code, copied beside a run, so that what has run is known and can be made anywhere.

Copied are the module that defines a plugin and what it imports of its own top-level package; the
library itself, and what is installed beside it, are found where the code is loaded.
"""

import ast
import inspect
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from experiments.plugin import registry
from experiments.plugin.kinds import Plugin

FOLDER = "code"  # of the model, which is exported with it
SOURCES = "source"  # of all plugins, for whoever reads


def copy(module: str, folder: Path) -> None:
    """Copy a module and what it needs into a folder, each under its dotted name."""
    for target, source in _files(module).items():
        _write(folder / target, source)


def collect(plugins: Iterable[type[Plugin]], folder: Path) -> list[Path]:
    """Copy the code of plugins into a folder, but what is there already; return what is new.

    Of a class that stands in a script that file is copied, of one in a notebook its own text.
    """
    wanted: dict[Path, Path | str] = {}
    for plugin in plugins:
        wanted |= _known(plugin.__module__) or _alone(plugin)
    new = [target for target in wanted if not (folder / target).exists()]
    for target in new:
        _write(folder / target, wanted[target])
    return new


def _write(target: Path, source: Path | str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path):
        shutil.copyfile(source, target)
    else:
        target.write_text(source, encoding="utf-8")


def _files(module: str) -> dict[Path, Path]:
    """Return the files of a module and of what it needs, by where they go."""
    found = {}
    for name, source in _closure(module).items():
        parts = name.split(".")
        if source.name == "__init__.py":
            parts.append("__init__")
        found[Path(*parts).with_suffix(".py")] = source
    return found


@cache
def _known(module: str) -> dict[Path, Path]:
    """Return the files of a module, which each job of a sweep asks for: parsing takes 20 ms."""
    return _files(module)


def _alone(plugin: type[Plugin]) -> dict[Path, Path | str]:
    """Return the code of a plugin that stands in no module that could be imported."""
    file = Path(registry.source(plugin))
    if file.is_file():
        return {Path(file.name): file}
    name = f"{registry.kind_of(plugin)}_{registry.name_of(plugin)}.py"
    try:
        return {Path(name): inspect.getsource(plugin)}
    except (OSError, TypeError):  # it was typed, and nobody keeps the lines
        return {}


def _closure(module: str) -> dict[str, Path]:
    """Return the files of a module and of all that it imports of its top-level package, by name."""
    top = module.partition(".")[0]
    found: dict[str, Path] = {}
    waiting, met = [module], {module}
    while waiting:
        name = waiting.pop()
        source = _source(name)
        needed = {name.rpartition(".")[0]}  # its package is imported before it
        if source is not None:
            found[name] = source
            needed |= set(_imports(name, source))
        new = {other for other in needed if other.partition(".")[0] == top} - met
        waiting += sorted(new)
        met |= new
    return found


def _source(name: str) -> Path | None:
    """Return the file of a module; None where it is no module, or has none, as a bare folder."""
    try:
        module = sys.modules.get(name)
        spec = find_spec(name) if module is None else module.__spec__
    except (ImportError, ValueError):
        return None
    origin = Path(spec.origin) if spec is not None and spec.origin else None
    return origin if origin is not None and origin.suffix == ".py" else None


def _imports(name: str, source: Path) -> Iterator[str]:
    """Yield every dotted name that a file imports, and those that may be modules among the rest."""
    package = name if source.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source.read_bytes(), str(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = resolve_name("." * node.level + base, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
