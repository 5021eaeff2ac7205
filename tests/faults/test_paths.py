"""Where a run writes: whatever it is told, below the declared output folder and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from refusals import ROOT, process, refusal, some

from experiments.cli import main

LOGGING = "hydra.job_logging.handlers.file"
# {out} is the declared output folder, {away} one beside it.
OUTSIDE = [
    ("hydra.run.dir={away}", "hydra.run.dir"),
    ("hydra.run.dir={out}/../away", "hydra.run.dir"),
    ("hydra.run.dir={out}", "hydra.run.dir"),
    ("hydra.run.dir={out}x/run", "hydra.run.dir"),
    ("hydra.run.dir={out}/link/run", "hydra.run.dir"),
    ("hydra.run.dir=../../away", "hydra.run.dir"),
    ("hydra.run.dir=.", "hydra.run.dir"),
    ("hydra.run.dir=${{output}}/../away", "hydra.run.dir"),
    ("hydra.run.dir='${{now:../../../away}}'", "hydra.run.dir"),
    ("hydra.run.dir=''", "hydra.run.dir"),
    ("hydra.run.dir=null", "hydra.run.dir"),
    ("~hydra.run.dir", "hydra.run.dir"),
    ("hydra.run=null", "hydra.run"),
    ("-m seed=1,2 hydra.sweep.dir={away}", "hydra.sweep.dir"),
    ("-m seed=1,2 hydra.sweep.dir={out}", "hydra.sweep.dir"),
    ("-m seed=1,2 hydra.sweep.subdir=../x", "hydra.sweep.subdir"),
    ("-m seed=1,2 hydra.sweep.subdir={away}", "hydra.sweep.subdir"),
    ("-m seed=1,2 hydra.sweep.subdir=x/../../../away", "hydra.sweep.subdir"),
    ("-m seed=1,2 hydra.sweep.subdir=..", "hydra.sweep.subdir"),
    ("-m seed=1,2 hydra.sweep.subdir=${{hydra.job.override_dirname}}", "hydra.sweep.subdir"),
    ("-m seed=1,2 tracking=none hydra.sweep.dir={away}", "hydra.sweep.dir"),
    ("-m seed=1,2 tracking=none hydra.sweep.dir={out}/old", "hydra.sweep.dir"),
    ("-m seed=1,2 tracking=none hydra.sweep.dir={out}", "hydra.sweep.dir"),
    ("hydra.output_subdir=../x", "hydra.output_subdir"),
    ("hydra.output_subdir={away}", "hydra.output_subdir"),
    ("hydra.output_subdir=checkpoints", "hydra.output_subdir"),
    ("hydra.job.name=../../away/x", "hydra.job.name"),
    ("hydra.job.name=..", "hydra.job.name"),
    (f"{LOGGING}.filename={{away}}/x.log", "filename"),
    (f"{LOGGING}.filename=${{{{hydra.runtime.output_dir}}}}/../x.log", "filename"),
    (f"{LOGGING}.filename=${{{{hydra.runtime.output_dir}}}}/journal.jsonl", "filename"),
    (f"{LOGGING}.filename=x.log", "filename"),
    ("hydra/hydra_logging=hydra_debug", "filename"),
    ("tracking=none hydra.run.dir={away}", "hydra.run.dir"),
    ("tracking=none hydra.output_subdir=.hydra", "hydra.run.dir"),
    ("tracking=none hydra.job_logging.root.handlers=[file]", "hydra.run.dir"),
    (f"tracking=none {LOGGING}.delay=false", "hydra.run.dir"),
    ("tracking.experiment=../../away", "tracking.experiment"),
    ("tracking.experiment={away}", "tracking.experiment"),
    ("tracking.experiment=a/../../b", "tracking.experiment"),
    ("tracking.experiment=..", "tracking.experiment"),
    ("tracking.experiment=''", "tracking.experiment"),
    ("tracking.name=''", "tracking.name"),
    ("output={out}/file/runs", "output"),
    ("output={out}/file", "output"),
    ("model=../linear", "model"),
    ("transform=[../clip_norm]", "transform"),
    ("+schedule@schedules.../x=cosine", "schedule"),
    ("metric=[../../accuracy]", "metric"),
    ("monitor=val/../../x", "monitor"),
]
DEEP, LONG, UMLAUTS = "/".join("a" * 2000), "a" * 300, "ä" * 200
# Paths that a system does not have, and what a refusal says of them.
TOO_LONG = [
    (f"{sweep}{key}='{{out}}/{name}'", key, told)
    for sweep, key in (
        ("", "output"),
        ("-m seed=1,2 ", "output"),
        ("", "hydra.run.dir"),
        ("-m seed=1,2 ", "hydra.sweep.dir"),
    )
    for name, told in (
        (DEEP, "a folder's whole path has at most 800 bytes"),
        ("/".join(["a" * 40] * 100), "a folder's whole path has at most 800 bytes"),
        (LONG, "a name has at most 250 bytes"),
        (UMLAUTS, "a name has at most 250 bytes"),
    )
] + [
    (f"-m seed=1,2 hydra.sweep.subdir={LONG}", "hydra.sweep.subdir", "at most 60 letters"),
    (f"hydra.job.name='{UMLAUTS}'", "hydra.job.name", "at most 60 letters"),
    (f"{LOGGING}.filename=${{{{hydra.runtime.output_dir}}}}/{LONG}.log", "filename", "NAME.log"),
    (f"tracking.experiment='{UMLAUTS}'", "tracking.experiment", "as a folder's name"),
    (f"tracking.name={DEEP}", "tracking.name", "at most 250 characters"),
]
SMALL = ["max_steps=2", "device=cpu", "tracking.figures=false"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with an output folder, a link and a file in it, and what lies beside it."""
    out = tmp_path / "out"
    (out / "old").mkdir(parents=True)
    (out / "old" / "result.json").write_text("{}")
    (out / "file").write_text("")
    (out / "link").symlink_to(tmp_path)
    return tmp_path


def _files(*folders: Path) -> set[Path]:
    def inside(folder: Path) -> Iterator[Path]:
        yield from (path for path in folder.rglob("*") if "__pycache__" not in path.parts)

    return {path for folder in folders for path in inside(folder)}


@pytest.mark.parametrize(("probe", "key", "told"), some(TOO_LONG, 5))
def test_a_path_that_no_system_has_is_refused_with_its_reason_and_nothing_is_made(
    probe: str,
    key: str,
    told: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _files(place)
    output = [] if key == "output" else [f"output={place / 'out'}"]
    given = [*probe.format(out=place / "out").split(" "), *SMALL, *output, "tracking=offline"]
    line = refusal(given, capsys, monkeypatch)
    assert key in line and told in line
    assert _files(place) == before


@pytest.mark.parametrize(("probe", "key"), some(OUTSIDE, 13))
def test_a_place_outside_is_refused_and_nothing_is_made(
    probe: str,
    key: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _files(place)
    given = probe.format(out=place / "out", away=place / "away").split(" ")
    output = [] if "output={" in probe else [f"output={place / 'out'}"]
    tracking = [] if "tracking=" in probe else ["tracking=offline"]
    line = refusal([*given, *SMALL, *output, *tracking], capsys, monkeypatch)
    assert key in line
    assert _files(place) == before


@pytest.mark.parametrize("name", some(["../../up", "/etc/x", "a/b", "C:\\x", "..", "%2e%2e/x"], 6))
def test_a_runs_name_is_no_path(name: str, place: Path) -> None:
    before = set(ROOT.iterdir())
    settings = ["tracking=offline", f"tracking.name='{name}'", f"output={place / 'out'}"]
    assert main.command(ROOT, [*SMALL, *settings, "tracking.model=false"]) == 0
    new = _files(place / "out") - {place / "out" / name for name in ("old", "file", "link")}
    (folder,) = {path.relative_to(place / "out").parts[0] for path in new} - {"old"}
    assert (place / "out" / folder / "journal.jsonl").exists()
    assert {path.name for path in place.iterdir()} == {"out"}
    assert set(ROOT.iterdir()) == before


@pytest.mark.whole
@pytest.mark.process
def test_all_that_a_run_and_its_upload_write_is_below_the_output_and_beside_the_store(
    place: Path,
) -> None:
    (place / "home").mkdir()
    before = set(ROOT.iterdir())
    store = f"tracking.uri=sqlite:///{place / 'store' / 'mlflow.db'}"
    settings = [*SMALL, "tracking.experiment=team/vision", store, f"output={place / 'out'}"]
    done = process(*settings, variables={"HOME": str(place / "home")}, cwd=place)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in place.iterdir()} <= {"out", "home", "store"}
    assert not [path for path in _files(place / "home") if path.is_file()]
    assert (place / "store" / "mlflow.db").exists()
    assert len(list((place / "store" / "mlartifacts").iterdir())) == 1
    assert set(ROOT.iterdir()) == before


@pytest.mark.whole
@pytest.mark.process
def test_keeping_nothing_writes_nothing_in_a_run_nor_in_a_sweep(place: Path) -> None:
    before, scratch = _files(place), place / "tmp"
    scratch.mkdir()
    for sweep in ([], ["-m", "seed=1,2"]):
        settings = [*sweep, *SMALL, "tracking=none", f"output={place / 'out'}"]
        done = process(*settings, variables={"TMPDIR": str(scratch)}, cwd=place)
        assert done.returncode == 0, done.stderr
        assert _files(place) - {scratch} == before
