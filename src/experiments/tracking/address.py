"""The address of MLflow's store: what it may be, and what to type and to open with it."""

import os
import re
import shlex
import socket
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from experiments.errors import ConfigError
from experiments.process.secrecy import without_password

_SQLITE = "sqlite:///"
_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
# MLflow's page opens on its view for language models unless the address says otherwise.
VIEW = "?workflowType=machine_learning"
_PROBE = 1.0  # seconds that a server may take to be reached
VARIABLE = "MLFLOW_TRACKING_URI"


def resolve(given: str | None, folder: Path) -> str:
    """Return the store's address: what was given, else the environment's, else sqlite in a folder.

    Raises ConfigError where it is none.
    """
    uri = given or os.environ.get(VARIABLE) or sqlite_uri(folder.resolve() / "mlflow.db")
    if fault := _fault(uri):
        allowed = "sqlite:///FILE, http://SERVER:PORT, or a database such as postgresql://HOST/NAME"
        shown = name(re.sub("://.*@", "://***@", uri, flags=re.DOTALL))
        raise ConfigError(f"'{shown}' is no store's address: {fault}. Allowed: {allowed}.")
    file = sqlite_file(uri)
    return uri if file is None else sqlite_uri(file)


def sqlite_uri(file: Path) -> str:
    """Return the address of a store that is a file; SQLAlchemy, which opens it, decodes it."""
    return _SQLITE + str(file).replace("%", "%25").replace("?", "%3F")


def sqlite_file(uri: str) -> Path | None:
    """Return the absolute path of a store that is a file."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0])).resolve()


def name(uri: str) -> str:
    """Return what a store is called wherever it is written or shown: its address, no password."""
    return without_password(uri)


def environment(uri: str) -> dict[str, str]:
    """Return the variables for a process that sends to a store.

    The address is not an argument, which every user of the machine sees.
    """
    return {
        VARIABLE: uri,
        "DO_NOT_TRACK": "true",  # MLflow's own telemetry
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # it is tried again by our own rule
        "MLFLOW_HTTP_REQUEST_TIMEOUT": os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
    }


def run_page(uri: str, experiment_id: str, mlflow_run_id: str) -> str:
    """Return the address of a run's page on the server of a store."""
    server = "http://127.0.0.1:5000"
    if uri.startswith(_SERVERS):
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
        server = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return f"{server}/#/experiments/{experiment_id}/runs/{mlflow_run_id}{VIEW}"


def server_command(uri: str) -> str:
    """Return the command that serves a store's pages on this machine."""
    command = [program("mlflow"), "server", "--backend-store-uri", name(uri), "--port", "5000"]
    return f"DO_NOT_TRACK=true {shlex.join(command)}"


def sync_command(uri: str, folder: Path) -> str:
    """Return the command that finishes a folder's upload to a store.

    It names the store unless it is the one that the command takes by itself.
    """
    command = [program("experiments")]
    if not Path(command[0]).exists():  # an environment made before there was the command
        command = [program("python"), "-m", "experiments.cli.commands"]
    command += ["sync", str(folder)]
    if uri != resolve(None, Path.cwd()):
        command += ["--uri", name(uri)]
    return shlex.join(command)


def program(name: str) -> str:
    """Return a program of this environment as it is called from the working directory."""
    path = Path(sys.executable).with_name(name)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def is_server(uri: str) -> bool:
    """Say whether a store is a server, which has pages of its own."""
    return uri.startswith(_SERVERS)


def is_there(uri: str) -> bool:
    """Say whether a store takes connections, if it is a server: one that is dead does not."""
    if not is_server(uri):
        return True
    parts = urlsplit(uri)
    place = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection(place, timeout=_PROBE).close()
    except OSError:
        return False
    return True


def _fault(uri: str) -> str | None:
    """Say what is wrong with an address; no part of it, which may be a password, is repeated."""
    scheme, separator, rest = uri.partition("://")
    kind = scheme.partition("+")[0]
    if not separator or kind not in ("sqlite", *_SERVERS, *_DATABASES):
        return "it begins as none does"
    if kind == "sqlite":
        file = rest.partition("?")[0]
        named = file.startswith("/") and file.strip("/") and not file.endswith("/")
        return None if named and file.isprintable() else "it names no file"
    if any(letter.isspace() or not letter.isprintable() for letter in uri):
        return "it holds a blank"
    try:
        parts = urlsplit(uri)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    return None if whole else "its host or port is missing or wrong"
