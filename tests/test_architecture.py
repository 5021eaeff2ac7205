"""The package keeps to its levels, knows no plugin by name, and starts without heavy libraries."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "experiments"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")

# A module imports modules of earlier levels only.
LEVELS: list[set[str]] = [
    {"secrecy", "wording"},
    {"errors", "bounds", "averages", "draws", "records", "outcomes", "repeats", "parallelpage"},
    {"signals", "threads", "pruning", "telling"},
    {"interfaces", "tracker", "sizes", "scales"},
    {
        "registry",
        "numbers",
        "seeds",
        "params",
        "settings",
        "tables",
        "screening",
        "search",
        "space",
    },
    {"clients", "address", "link", "decimation", "modelcode", "jobs", "parallel"},
    {"preprocessing", "hardware", "fitting", "scaling", "places", "sources"},
    {"positions", "grouping"},
    {"description", "discovery", "forward", "timetable", "choices", "overrides", "points"},
    {"batches", "compiled", "capture", "worth", "remaking", "suggesting", "archive"},
    {"journal", "checkpoint", "figures", "meter", "study"},
    {"history", "keeping", "leftovers", "ticks"},
    {"rule", "evaluation", "datacache", "sweepfigures", "heatmap"},
    {"loop", "setup"},
    {"lanes"},
    {"snapshot", "provenance", "report", "validation"},
    {"program"},
    {"engine", "progress", "translation"},
    {"results", "config", "tracking", "store", "probing"},
    {"resuming", "logged_model", "record"},
    {"training", "divergence", "leaderboard", "replica", "served", "lanekeeping", "jobfiles"},
    {"group", "sweep"},
    {"runner", "upload", "together"},
    {"following", "syncing", "sweeping"},
    {"uploader", "commands"},
    {"calls"},
    {"cli"},
]
# Libraries, and the only modules of the package that may import them, at whatever place.
RESERVED = {
    "mlflow": {
        *("clients", "store", "logged_model", "replica"),
        *("upload", "following", "syncing", "served"),
    },
    "hydra": {
        *("translation", "config", "sources", "calls", "cli"),
        *("choices", "overrides", "jobfiles", "sweeping"),
    },
    "matplotlib": {"figures", "sweepfigures", "ticks", "heatmap"},
    "optuna": {"study", "archive", "suggesting"},
    "cmaes": {"points"},
    "sqlalchemy": {"archive", "store"},
    "torch.optim": set[str](),
    "pickle": set[str](),
    "cloudpickle": set[str](),
    "dill": set[str](),
    "torchvision": set[str](),
    "sklearn": set[str](),
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
}


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


def _siblings(module: str) -> set[str]:
    """Return the modules of the package that one of them imports."""
    names = {
        name.split(".")[1]
        for name in _imports(PACKAGE / f"{module}.py")
        if "." in name and name.startswith("experiments.")
    }
    return names & set(MODULES)


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


def test_every_module_stands_in_exactly_one_level() -> None:
    placed = [module for level in LEVELS for module in level]
    assert sorted(placed) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_earlier_levels_only(module: str) -> None:
    height = {name: number for number, level in enumerate(LEVELS) for name in level}
    wrong = {name for name in _siblings(module) if height[name] >= height[module]}
    assert not wrong


def test_imports_make_no_circle() -> None:
    waiting = {module: _siblings(module) for module in MODULES}
    while free := [module for module, needs in waiting.items() if not needs & set(waiting)]:
        for module in free:
            del waiting[module]
    assert not waiting


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_modules_and_not_what_the_package_offers_plugins(module: str) -> None:
    names = _imports(PACKAGE / f"{module}.py")
    offered = {n for n in names if n.startswith("experiments.") and n.count(".") == 1}
    assert {name.split(".")[1] for name in offered} <= set(MODULES)


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


def test_no_module_is_called_utils() -> None:
    stems = {path.stem for folder in ("src", "plugins") for path in (ROOT / folder).rglob("*.py")}
    vague = {"utils", "util", "helpers", "common", "misc", "base", "core"}
    assert not {stem.strip("_") for stem in stems} & vague


@pytest.mark.parametrize("module", MODULES)
def test_a_module_names_no_plugin(module: str) -> None:
    names = _plugin_names()
    assert {"sgd", "mlp", "digits", "cross_entropy"} <= names
    found = set(_constants(PACKAGE / f"{module}.py")) & (names - set(ORDINARY))
    assert not found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_no_plugin(module: str) -> None:
    assert not {n for n in _imports(PACKAGE / f"{module}.py") if _is_below(n, "plugins")}


@pytest.mark.parametrize("library", RESERVED)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    paths = {module: _imports(PACKAGE / f"{module}.py") for module in MODULES}
    users = {m for m, names in paths.items() if any(_is_below(n, library) for n in names)}
    assert users <= RESERVED[library]


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


@pytest.mark.parametrize(("folder", "most"), [("src", 250), ("plugins", 120)])
def test_a_file_is_short(folder: str, most: int) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= most, path


def test_importing_the_package_loads_no_heavy_library(tmp_path: Path) -> None:
    loaded = _loaded_after("import experiments", tmp_path)
    heavy = {"torch", "mlflow", "torchvision", "matplotlib", "sklearn"}
    assert "experiments.registry" in loaded
    assert not heavy & loaded


def test_training_loads_no_compiler_and_no_library_that_its_data_do_not_need(
    tmp_path: Path,
) -> None:
    code = f"""
from pathlib import Path
from experiments import config, discovery, engine, setup
root = Path({str(ROOT)!r})
discovery.discover(root)
config.publish(root, "test")
settings = ["model=mlp", "optimizer=adam", "max_steps=3", "output=."]
session = setup.prepare(config.plan(root, "config", settings, multirun=False).experiment)
assert [step.t for _, step in zip(range(3), engine.steps(session))] == [1, 2, 3]
"""
    heavy = {"mlflow", "torchvision", "matplotlib", "sklearn", "sympy"}
    heavy |= {"torch._dynamo", "torch._inductor", "experiments.compiled", "experiments.capture"}
    assert not heavy & _loaded_after(code, tmp_path)


def test_composing_a_configuration_loads_no_library_that_only_a_run_needs(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from experiments import config, discovery
root = Path({str(ROOT)!r})
discovery.discover(root)
config.publish(root, "test")
config.plan(root, "config", ["optimizer=adam"], multirun=False)
"""
    heavy = {"mlflow", "torchvision", "matplotlib", "sklearn", "torch._dynamo"}
    assert not heavy & _loaded_after(code, tmp_path)
