"""The notebooks of `examples/` run from top to bottom in a kernel of this Python."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
KERNEL = "tested"  # none of those that a user has installed
LIMIT = 120  # seconds of a cell


def read(notebook: Path) -> NotebookNode:
    """Return a notebook."""
    return nbformat.read(notebook, as_version=4)


def cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def _own_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a kernel of this Python that keeps nothing in the user's folders, in one thread."""
    folder = tmp_path / "kernels" / KERNEL
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    facts = {"argv": command, "display_name": KERNEL, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(facts), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_stores_no_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert cells(notebook)
    for cell in cells(notebook):
        assert not cell.outputs, cell.source
        assert cell.execution_count is None, cell.source


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")  # of the libraries that talk to the kernel
@pytest.mark.usefixtures("_own_kernel")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    notebook = read(path)
    place = {"metadata": {"path": str(EXAMPLES)}}
    client = NotebookClient(notebook, timeout=LIMIT, kernel_name=KERNEL, resources=place)
    client.execute()  # raises the error of a cell
    assert all(cell.execution_count for cell in cells(notebook))
    assert all(cell.outputs for cell in cells(notebook)[-3:])
