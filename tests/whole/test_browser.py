"""MLflow's pages as a person sees them who types and opens what the command printed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from composed import ROOT
from playwright.sync_api import Browser, Page, expect, sync_playwright

SECONDS = 60  # the longest that the server, or something on a page, may take to appear

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.whole]


@dataclass(frozen=True, slots=True)
class Served:
    """A run and a sweep in one store, and the pages of a server that was started as printed."""

    output: str  # of the run
    page: str  # of the run
    sweep_page: str  # of the sweep's parent
    figure: Path


@pytest.fixture(autouse=True, scope="module")
def chromium() -> str:
    """Find Chromium before anything is run; there is nothing to test without it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the PATH")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Start headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run, sweep, and serve the store with the printed command on a free port."""
    folder = tmp_path_factory.mktemp("browser")
    store = ["device=cpu", f"output={folder}/runs", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    store.append(f"tracking.wait={SECONDS}")
    output = run("epochs=3", *store)
    sweep_output = run("-m", "optimizer.lr=0.01,0.1", "epochs=2", *store)
    (figure,) = folder.glob("runs/*/figures/confusion_matrix.png")  # a job's is a folder deeper

    port = free_port()
    page, sweep_page = (
        replaced(printed("page", text), "127.0.0.1:5000", f"127.0.0.1:{port}")
        for text in (output, sweep_output)
    )
    command = replaced(printed("review", output), "--port 5000", f"--port {port} --workers 1")
    log = folder / "server.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command,
            shell=True,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_health(f"http://127.0.0.1:{port}/health", server, log)
        yield Served(output, page, sweep_page, figure)
    finally:
        stop(server)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a page that remembers nothing of another test."""
    with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
        context.set_default_timeout(SECONDS * 1000)
        yield context.new_page()


@pytest.fixture(autouse=True, scope="module")
def _patience() -> Iterator[None]:
    expect.set_options(timeout=SECONDS * 1000)
    yield
    expect.set_options(timeout=5000)  # Playwright's own


def test_the_printed_page_shows_the_run_and_its_metrics(served: Served, page: Page) -> None:
    page.goto(served.page)

    expect(page.get_by_role("heading", name="linear sgd digits")).to_be_visible()
    cell = page.get_by_role("link", name="val/accuracy", exact=True)
    row = page.get_by_role("row").filter(has=cell)
    expect(row).to_be_visible()
    shown = re.search(r"\d\.\d+", row.inner_text())
    told = re.search(r"^best +val/accuracy (\S+)", served.output, re.MULTILINE)
    assert shown and told
    assert float(shown[0]) == pytest.approx(float(told[1]), abs=5.1e-5)


@pytest.mark.whole
def test_the_printed_page_opens_in_the_view_for_model_training(served: Served, page: Page) -> None:
    page.goto(served.page)

    expect(page.get_by_role("heading", name="linear sgd digits")).to_be_visible()
    expect(page.get_by_role("link", name="Models", exact=True)).to_be_visible()
    expect(page.get_by_text("Prompts", exact=True)).to_have_count(0)


def test_a_figure_among_the_artifacts_is_displayed(served: Served, page: Page) -> None:
    page.goto(served.page)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("confusion_matrix.png", exact=True).click()

    # An image that failed to load is 0 pixels wide; MLflow's own pictures have other widths.
    width = int.from_bytes(served.figure.read_bytes()[16:20], "big")
    assert width > 0
    page.wait_for_function(
        "width => [...document.images].some(i => i.complete && i.naturalWidth === width)",
        arg=width,
    )


def test_the_run_list_shows_the_run_and_the_parent_of_the_sweep(served: Served, page: Page) -> None:
    run_page, parent_page = (text.split("?")[0] for text in (served.page, served.sweep_page))
    assert run_page != parent_page
    page.goto(f"{run_page.rsplit('/', 1)[0]}?workflowType=machine_learning")

    for shown in (run_page, parent_page):
        expect(page.locator(f'a[href*="{shown.rsplit("/", 1)[1]}"]').first).to_be_visible()
    expect(page.get_by_text("matching runs")).to_have_text("4 matching runs")


def environment() -> dict[str, str]:
    """Return the environment for a process that tells nobody what it does."""
    return os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def run(*arguments: str) -> str:
    """Run the command in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def printed(label: str, output: str) -> str:
    """Return what stands after a label on its line."""
    found = re.search(rf"^{label} +(.+)$", output, re.MULTILINE)
    assert found, output
    return found[1]


def replaced(text: str, old: str, new: str) -> str:
    """Return the text with the one occurrence of a part replaced."""
    assert text.count(old) == 1, text
    return text.replace(old, new)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_health(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server with all its processes, and wait until they have ended."""
    try:
        processes = psutil.Process(server.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        processes = []
    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, stop_signal)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and any(map(alive, processes)):
            server.poll()
            time.sleep(0.1)
        if not any(map(alive, processes)):
            break
    server.wait(15)
    assert not any(map(alive, processes))


def alive(process: psutil.Process) -> bool:
    """Say whether a process still runs; one that only waits to be collected does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
