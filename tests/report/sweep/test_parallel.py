"""Parallel coordinates: the lines and axes of the page, its safety, and how it answers."""

import html
import math
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import EXTREMES, TEXTS, grid, job
from playwright.sync_api import Frame, Page, sync_playwright

from experiments.report.sweep import parallel
from experiments.report.sweep.outcomes import Outcome

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"


def drawing(
    jobs: list[Outcome], *, label: str = "val/acc", higher_is_better: bool = True
) -> ET.Element:
    """Return the page's SVG, which is well-formed."""
    page = parallel.page(jobs, label=label, higher_is_better=higher_is_better)
    assert page.count("<script>") == page.count("</script>") == 1
    return ET.fromstring(page[page.index("<svg") : page.index("</svg>") + len("</svg>")])


def lines(svg: ET.Element) -> list[ET.Element]:
    return [one for one in svg.iter("polyline") if one.get("class")]


def points(line: ET.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in line.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def names(svg: ET.Element) -> list[str]:
    return [str(one.text) for one in svg.iter("text") if one.get("class") == "name"]


def test_each_job_is_a_line_over_all_axes() -> None:
    jobs = [job(k / 9, **{"optimizer.lr": 10.0**-k, "model": "abc"[k % 3]}) for k in range(9)]
    svg = drawing(jobs)
    assert names(svg) == ["lr", "model", "val/acc"]
    notes = [one.text for one in svg.iter("text") if one.get("class") == "note"]
    assert notes == ["log scale", None, None]
    assert len(lines(svg)) == 9
    places = [points(line) for line in lines(svg)]
    xs = [float(axis.attrib["data-x"]) for axis in svg.iter("g") if axis.get("class") == "axis"]
    assert all([x for x, _ in line] == xs for line in places)
    rates, _, values = ([line[i][1] for line in places] for i in range(3))
    assert rates == pytest.approx([340 * k / 8 for k in range(9)], abs=0.1)
    assert values == pytest.approx([340 - 340 * k / 8 for k in range(9)], abs=0.1)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_best_is_darkest_and_drawn_last(higher_is_better: bool) -> None:
    svg = drawing([job(k, a=k) for k in (3, 1, 2)], higher_is_better=higher_is_better)
    best = "3" if higher_is_better else "1"
    *_, last = lines(svg)
    assert last.attrib["data-text"].startswith(f"val/acc = {best}\na = {best}\n")
    assert last.attrib["stroke"] == "#440154"
    assert lines(svg)[0].attrib["stroke"] == "#bddf26"


def test_the_lost_are_dashed_and_end_at_a_tick_of_their_own() -> None:
    svg = drawing([job(0.5, a=1), job(0.7, a=2), job(0.3, "diverged", a=3)])
    (lost,) = (line for line in lines(svg) if line.get("class") == "job lost")
    assert lost.attrib["data-text"].startswith("diverged\nval/acc = 0.3 at best\n")
    tick = next(one for one in svg.iter("text") if one.text == "diverged")
    assert points(lost)[-1][1] == float(tick.attrib["y"]) - 4 > 340


def test_jobs_that_differ_in_their_seeds_only_have_an_axis_of_seeds() -> None:
    svg = drawing([job(0.5 + seed / 10, seed=seed) for seed in range(3)])
    assert names(svg) == ["seed", "val/acc"]
    assert names(drawing([])) == ["job", "val/acc"]


def test_names_are_text_and_never_markup() -> None:
    jobs = [job(k, HOSTILE, seed=HOSTILE, **{HOSTILE: HOSTILE * k}) for k in range(3)]  # type: ignore[arg-type]
    page = parallel.page(jobs, label=HOSTILE, higher_is_better=True)
    assert "<img" not in page
    assert "http" not in page
    drawing(jobs, label=HOSTILE)


def test_a_thousand_jobs_are_thin_and_few_bytes() -> None:
    jobs = [job(k, **dict.fromkeys("abcdefg", k * 1.7)) for k in range(1000)]
    page = parallel.page(jobs, label="val/loss", higher_is_better=False)
    assert len(page) < 600_000
    opacity = next(g for g in drawing(jobs) if g.get("stroke-opacity")).attrib["stroke-opacity"]
    assert float(opacity) < 0.3


outcomes = st.builds(
    Outcome,
    settings=st.dictionaries(st.sampled_from([*"ab", HOSTILE]), st.sampled_from(TEXTS) | st.text()),
    repeat=st.dictionaries(st.sampled_from(["seed", "b"]), st.sampled_from(["0", "", HOSTILE])),
    status=st.sampled_from(["finished", "finished", "diverged", "failed", HOSTILE]),
    value=st.floats() | st.sampled_from(EXTREMES),
    curve=st.just([]),
)


@settings(max_examples=30)
@given(st.lists(outcomes, max_size=12), st.text(), st.booleans())
def test_any_jobs_have_a_page(jobs: list[Outcome], label: str, higher_is_better: bool) -> None:
    svg = drawing(jobs, label=label, higher_is_better=higher_is_better)
    assert len(lines(svg)) == len(jobs)
    _, top, width, height = map(float, svg.attrib["viewBox"].split())
    for line in lines(svg):
        for x, y in points(line):
            assert 0 < x < width
            assert top < y < top + height


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """Start headless Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.skip("no Chromium is on the PATH")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser.new_page(viewport={"width": 1100, "height": 600})
        browser.close()


def framed(tab: Page, jobs: list[Outcome]) -> Frame:
    """Show the page as MLflow does: in a frame that may run scripts and has no origin."""
    page = html.escape(parallel.page(jobs, label="val/acc", higher_is_better=True))
    style = "border:0;width:100%;height:580px"
    tab.set_content(f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{page}"></iframe>')
    frame = tab.frames[1]
    frame.wait_for_selector("svg")
    return frame


@pytest.mark.browser
def test_dragging_on_axes_filters_and_pointing_at_a_line_reads_it(tab: Page) -> None:
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    frame = framed(tab, [*grid([1e-3, 1e-2, 1e-1]), job(math.nan, "diverged", lr=HOSTILE)])
    count, tip = frame.locator("#count"), frame.locator("#tip")
    assert count.inner_text() == "10 of 10"

    box = frame.locator(".hit").nth(1).bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2
    tab.mouse.move(middle, box["y"] + 1)
    tab.mouse.down()
    tab.mouse.move(middle, box["y"] + box["height"] / 3)
    tab.mouse.up()
    assert count.inner_text() == "3 of 10"
    assert frame.locator(".off").count() == 7

    best = frame.locator(".job").last.evaluate(
        "line => [0, 1].map(i => line.points[i].matrixTransform(line.getScreenCTM()))"
        ".reduce((a, b) => [(a.x + b.x) / 2, (a.y + b.y) / 2])"
    )
    tab.mouse.move(best[0] + 8, best[1] + 8)  # the frame stands 8 pixels from the page's corner
    assert tip.inner_text() == "val/acc = 0.92\nlr = 0.1\nseed = 2"

    tab.mouse.click(middle, box["y"] + 9)
    assert count.inner_text() == "10 of 10"
    assert not errors
