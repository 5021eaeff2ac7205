"""A model's code, copied into the run's folder, so that the folder makes the model anywhere.

Copied are the module that defines the model and what it imports of its own top-level package; the
library itself, and what is installed beside it, are found where the model is loaded.
"""

import ast
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path

FOLDER = "code"


def copy(module: str, folder: Path) -> None:
    """Copy a module and what it needs into a folder, each under its dotted name."""
    for name, source in _closure(module).items():
        parts = name.split(".")
        if source.name == "__init__.py":
            parts.append("__init__")
        target = folder.joinpath(*parts).with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


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
