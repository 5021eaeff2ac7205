"""The `experiments` command: what is done with runs that exist."""

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from experiments.errors import ConfigError, ExperimentError, options
from experiments.process import secrecy
from experiments.runs import journal
from experiments.tracking import address

_INTERRUPTED = 130  # 128 and the number of SIGINT


def main() -> None:
    """Run the command line, and exit with its status."""
    sys.exit(command(sys.argv[1:]))


def command(arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit status; an error is one line on stderr."""
    parsed = _parser().parse_args(arguments)
    secrecy.hide_environment(os.environ)
    try:
        return _sync(parsed.folders, parsed.uri)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except ExperimentError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"error: {secrecy.clean(' '.join(str(error).split()))}", file=sys.stderr)
        return error.status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="experiments", description=__doc__)
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    sync = subcommands.add_parser(
        "sync",
        help="upload runs to MLflow",
        description="Upload to MLflow what it does not have yet of runs, from their folders alone.",
    )
    sync.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="with runs in it or below; runs"
    )
    sync.add_argument(
        "--uri",
        help=f"MLflow's store, such as sqlite:////home/me/mlflow.db or http://localhost:5000; "
        f"${address.VARIABLE}, else mlflow.db in the working directory",
    )
    return parser


def _sync(folders: Sequence[Path], uri: str | None) -> int:
    if uri:
        secrecy.hide_uri(uri)
    runs = list(dict.fromkeys(_runs(folders or [Path("runs")])))
    resolved = address.resolve(uri, Path.cwd())
    warnings.simplefilter("ignore")  # of MLflow's own libraries
    os.environ |= address.environment(resolved)
    from experiments.tracking.sync import sync  # it loads MLflow, which takes seconds

    return sync(runs, resolved)


def _runs(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders of runs in folders and below; raise ConfigError where one has none."""
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder}; {_neighbours(folder)}")
        found = list(_below(folder))
        if not found:
            raise ConfigError(
                f"The folder {folder} is no run and has none below: no {journal.FILE} is there."
            )
        yield from found


def _below(folder: Path) -> Iterator[Path]:
    for root, names, files in os.walk(folder):
        # A store holds copies of journals, which are no runs.
        names[:] = sorted(name for name in names if name not in ("mlartifacts", "mlruns"))
        if journal.FILE in files:
            yield Path(root)


def _neighbours(folder: Path) -> str:
    parent = folder.parent
    names = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return options(folder.name, names[:10])


if __name__ == "__main__":
    main()
