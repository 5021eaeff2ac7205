"""The package keeps to its rooms and levels, knows no plugin by name, and starts without heavy
libraries.
"""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from composed import ROOT

from experiments.plugin import registry

SOURCE = ROOT / "src"
PACKAGE = SOURCE / "experiments"
FILES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Rooms, the lowest first: each imports from those of earlier lines and from within itself. Those
# of one line do not know each other.
LEVELS = [
    {"errors", "text"},
    {"process"},
    {"plugin"},
    {"settings", "tensorfile", "rules", "report"},
    {"config", "data", "runs"},
    {"training", "tracking"},
    {"sweeps"},
    {"api"},
    {"cli"},
]
# Libraries, and the only rooms and modules that may import them, at whatever place.
RESERVED: dict[str, set[str]] = {
    "mlflow": {"tracking"},
    "hydra": {"config", "sweeps", "api", "cli"},
    "matplotlib": {"report"},
    "optuna": {"sweeps.search"},
    "cmaes": {"sweeps.search.samplers"},
    "sqlalchemy": {"sweeps.search.archive", "tracking.store"},
    "torch.optim": set(),
    "pickle": set(),
    "cloudpickle": set(),
    "dill": set(),
    "torchvision": set(),
    "sklearn": set(),
}
# Strings that are a plugin's name and mean something else where the package has them.
ORDINARY = {
    "step": "the word in a figure's axis and in the journal's events",
    "auto": "matplotlib's value for an axis's aspect",
    "mps": "torch's name of a device type",
    "cuda": "torch's name of a device type",
    "cpu": "torch's name of a device type",
    "xpu": "torch's name of a device type",
    "linear": "the scale of a figure's axis",
    "fake": "torch's name of tensors without values",
    "objective": "the task of data whose outputs are the losses",
    "noise": "what a rule may need of a step",
    "ema": "the average that rules share",
}
# Endings of what a module would happen to be doing; these are nouns of the field.
GERUNDS = {"training", "tracking", "preprocessing"}
# What could mean anything, and words for which the project has another.
VAGUE = {"utils", "util", "helpers", "common", "misc", "base", "core", "snapshot", "dump"}
VAGUE |= {"callback", "hook", "outdir", "workdir", "logger", "scheduler", "criterion", "solver"}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(path: Path) -> set[str]:
    """Return every dotted name that a file imports, at its top or in a function."""
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


IMPORTS = {module: _imports(path) & FILES.keys() for module, path in FILES.items()}


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _upward(imports: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """Return the imports of a room on the same line or a later one."""
    height = {room: number for number, level in enumerate(LEVELS) for room in level}
    return {
        (module, other)
        for module, others in imports.items()
        for other in others
        if _room(module) and _room(other) and _room(module) != _room(other)
        if height[_room(other)] >= height[_room(module)]
    }


def _circle(imports: Mapping[str, set[str]]) -> set[str]:
    """Return the modules that import each other in a circle, or lead to one."""
    waiting = dict(imports)
    while free := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in free:
            del waiting[module]
    return set(waiting)


def _constants(path: Path) -> Iterator[str]:
    """Yield the string literals of a file."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _plugin_names() -> set[str]:
    plugins = [item for kind in registry.KINDS for item in registry.plugins(kind).items()]
    own = ROOT / "plugins"
    return {name for name, cls in plugins if Path(registry.source(cls)).is_relative_to(own)}


def _is_below(name: str, library: str) -> bool:
    return name == library or name.startswith(f"{library}.")


def _loaded_after(code: str, cwd: Path) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(done.stdout.split())


def test_every_module_stands_in_a_room_that_has_a_level() -> None:
    rooms = {_room(module) for module in FILES} - {""}
    assert rooms == {room for level in LEVELS for room in level}


def test_a_room_imports_lower_rooms_only() -> None:
    assert not _upward(IMPORTS)


def test_imports_make_no_circle() -> None:
    packages = {m for m, path in FILES.items() if path.name == "__init__.py"}
    modules = {m: needs - packages for m, needs in IMPORTS.items() if m not in packages}
    assert not _circle(modules)


def test_an_import_upwards_and_a_circle_are_found() -> None:
    wrong = {
        "experiments.rules.rule": {"experiments.training.loop"},
        "experiments.training.a": {"b"},
    }
    assert _upward(wrong) == {("experiments.rules.rule", "experiments.training.loop")}
    assert _upward({"experiments.data.cache": {"experiments.runs.journal"}})  # of the same line
    assert _circle({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": set()}) == {"a", "b"}


def test_a_package_imports_nothing_by_itself() -> None:
    for module, path in FILES.items():
        if path.name == "__init__.py" and module != "experiments":
            assert not _imports(path), module
            assert ast.get_docstring(_tree(path)), module


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_modules_and_not_what_the_package_offers_plugins(module: str) -> None:
    names = {name for name in _imports(FILES[module]) if _is_below(name, "experiments")}
    offered = {name for name in names if name.count(".") == 1} - FILES.keys()
    assert not offered


def test_a_plugin_imports_from_the_package_only_what_it_offers() -> None:
    allowed = set(ast.literal_eval(_all_of(PACKAGE / "__init__.py")))
    for path in (ROOT / "plugins").rglob("*.py"):
        names = {n for n in _imports(path) if n.startswith("experiments.")}
        assert {n.removeprefix("experiments.") for n in names} <= allowed, path


def _all_of(path: Path) -> ast.expr:
    for node in _tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return node.value
    raise AssertionError(f"{path} has no __all__")


def test_a_module_is_named_by_what_it_is() -> None:
    folders = [path for path in PACKAGE.rglob("*") if path.is_dir()]
    stems = {path.stem.strip("_") for path in [*FILES.values(), *folders]}
    stems |= {path.stem.strip("_") for path in (ROOT / "plugins").rglob("*.py")}
    assert not stems & VAGUE
    assert {stem for stem in stems if stem.endswith("ing")} <= GERUNDS


@pytest.mark.parametrize("module", FILES)
def test_a_module_names_and_imports_no_plugin(module: str) -> None:
    names = _plugin_names()
    assert {"sgd", "mlp", "digits", "cross_entropy"} <= names
    assert not set(_constants(FILES[module])) & (names - set(ORDINARY))
    assert not {n for n in _imports(FILES[module]) if _is_below(n, "plugins")}


@pytest.mark.parametrize("library", RESERVED)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = {
        module.removeprefix("experiments.")
        for module, path in FILES.items()
        if any(_is_below(name, library) for name in _imports(path))
    }
    places = RESERVED[library]
    assert not {user for user in users if not any(_is_below(user, place) for place in places)}


@pytest.mark.parametrize("library", ["torch.optim", "pickle", "cloudpickle", "mlflow", "hydra"])
def test_a_library_is_imported_by_no_plugin(library: str) -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        assert not {name for name in _imports(path) if _is_below(name, library)}, path


def test_no_code_reaches_torch_optim_or_pickled_files_by_attribute() -> None:
    for folder in ("src", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            names = {ast.unparse(n) for n in ast.walk(_tree(path)) if isinstance(n, ast.Attribute)}
            wrong = {n for n in names if _is_below(n, "torch.optim")}
            assert not wrong | names & {"torch.load", "torch.save"}, path


def test_a_file_is_short() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("src", "plugins")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert not {path for path, length in lengths.items() if length > 250}
    long = [path for path, length in lengths.items() if length > 200]
    assert len(long) <= 5, long
    assert not {p for p, n in lengths.items() if n > 120 and p.is_relative_to(ROOT / "plugins")}


def test_a_function_is_short() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path}: {node.name}"


def test_few_public_names_stand_for_two_things() -> None:
    names = Counter(
        node.name
        for path in SOURCE.rglob("*.py")
        for node in _tree(path).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
    )
    assert len(several := [name for name, count in names.items() if count > 1]) < 8, several


def test_importing_the_package_loads_no_heavy_library(tmp_path: Path) -> None:
    loaded = _loaded_after("import experiments", tmp_path)
    heavy = {"torch", "mlflow", "torchvision", "matplotlib", "sklearn"}
    assert "experiments.plugin.registry" in loaded
    assert not heavy & loaded


def test_training_loads_no_compiler_and_no_library_that_its_data_do_not_need(
    tmp_path: Path,
) -> None:
    code = f"""
from pathlib import Path
from experiments.config import compose
from experiments.plugin import discovery
from experiments.sweeps import plan
from experiments.training import engine, session
root = Path({str(ROOT)!r})
discovery.discover(root)
compose.publish(root, "test")
settings = ["model=mlp", "optimizer=adam", "max_steps=3", "output=."]
made = session.prepare(plan.plan(root, "config", settings, multirun=False).experiment)
assert [step.t for _, step in zip(range(3), engine.steps(made))] == [1, 2, 3]
"""
    loaded = _loaded_after(code, tmp_path)
    heavy = {"mlflow", "torchvision", "matplotlib", "sklearn", "sympy"}
    heavy |= {"torch._dynamo", "torch._inductor"}
    programs = {name for name in loaded if name.startswith("experiments.training.program.")}
    assert not heavy & loaded
    assert not programs & {f"experiments.training.program.{n}" for n in ("inductor", "cudagraph")}


def test_composing_a_configuration_loads_no_library_that_only_a_run_needs(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from experiments.config import compose
from experiments.plugin import discovery
from experiments.sweeps import plan
root = Path({str(ROOT)!r})
discovery.discover(root)
compose.publish(root, "test")
plan.plan(root, "config", ["optimizer=adam"], multirun=False)
"""
    heavy = {"mlflow", "torchvision", "matplotlib", "sklearn", "torch._dynamo"}
    assert not heavy & _loaded_after(code, tmp_path)
