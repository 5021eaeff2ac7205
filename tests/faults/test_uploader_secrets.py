"""A password in a store's address is in no argument, line, log or file that an upload makes."""

from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import uploads

from experiments.tracking import address

pytestmark = pytest.mark.process

# Put together here, as a run keeps what the checkout has beside its commit, this file with it.
USER, PASSWORD = ("-".join(["canary", text]) for text in ("user", "word/1@ x%"))


def everything(folder: Path) -> bytes:
    """Return the content and the name of every file below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(str(path).encode() + path.read_bytes() for path in paths)


@pytest.mark.whole
def test_a_password_is_nowhere(tmp_path: Path) -> None:
    uri = f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:9"
    env = {"MLFLOW_TRACKING_URI": uri}
    with uploads.reaped(tmp_path):
        log = tmp_path / "log"
        wanted = [*uploads.SHORT, "epochs=2", f"output={tmp_path}/runs", "tracking.wait=2"]
        arguments = (wanted, str(tmp_path / "facts.json"), 0.0, "")
        process = uploads.started(uploads.train, *arguments, log=log, env=env)
        assert uploads.eventually(lambda: bool(uploads.uploaders(tmp_path)))
        lines = [" ".join(found.cmdline()) for found in psutil.process_iter() if alive(found)]
        assert uploads.finished(process, log).status == 0
        (run,) = (tmp_path / "runs").iterdir()
        # The command does not wait until the uploader has loaded MLflow and asked the store.
        told = run / "uploader.log"
        assert uploads.eventually(lambda: told.exists() and told.stat().st_size > 0)
    assert told.read_text().count("does not answer") == 1
    given = uploads.sync(run, "--uri", uri, log=tmp_path / "given")
    assert given.status == 1
    refused = "error: The store http://***@127.0.0.1:9 does not answer: Connection refused.\n"
    assert given.err == refused
    wrong = uploads.sync(run, "--uri", uri.replace(":9", ":x9"), log=tmp_path / "wrong")
    assert wrong.status == 2
    for secret in (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), USER):
        assert not [line for line in lines if secret in line and "uploader" in line]
        assert secret.encode() not in everything(tmp_path)


def test_an_address_is_shown_without_its_password() -> None:
    uri = "https://me:canary@host:1/base"
    assert address.run_page(uri, "1", "2").startswith("https://host:1/base/#/experiments/1/runs/2")
    for shown in (
        address.server_command("postgresql://me:canary@host/name"),
        address.sync_command(uri, Path("runs/one")),
        address.name(uri),
    ):
        assert "canary" not in shown


def alive(process: psutil.Process) -> bool:
    """Say whether a process can still be asked for its arguments."""
    try:
        return bool(process.cmdline())
    except psutil.Error:
        return False
