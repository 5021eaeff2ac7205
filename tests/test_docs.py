"""The documents: their snippets run, their links lead somewhere, and what they name is there."""

import re
from pathlib import Path

import pytest

from experiments import plugins
from experiments.api import script

ROOT = Path(__file__).parents[1]
NOTES = ROOT / "docs" / "from_the_notes.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(\))?`")


def snippets(document: Path) -> list[tuple[int, str]]:
    """Return the Python code of a document, each with the number of lines before it."""
    text = document.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(2)), found[2])
        for found in FENCE.finditer(text)
        if found[1] == "python"
    ]


def links(document: Path) -> list[tuple[str, str, str]]:
    """Return the text, the path and the anchor of every link to this checkout."""
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    local = [found for found in LINK.findall(prose) if not re.match(r"[a-z]+:", found[1])]
    return [(text, *target.partition("#")[::2]) for text, target in local]


def defines(code: str, name: str) -> bool:
    """Say whether Python code defines each part of a dotted name, by any of its statements."""
    return all(
        re.search(rf"^\s*(?:(?:async )?def |class ){part}\b|^\s*{part}\s*[:=]", code, re.MULTILINE)
        for part in name.split(".")
    )


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.filterwarnings("error")
def test_the_snippets_run_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {"__name__": "notes"}
    found = snippets(NOTES)
    assert found
    for before, code in found:
        # The empty lines give a traceback the line of the document.
        exec(compile("\n" * before + code, NOTES, "exec"), namespace)


def test_every_snippet_is_short_and_claims_something() -> None:
    for before, code in snippets(NOTES):
        where = f"{NOTES.name}:{before + 1}"
        assert "assert " in code, where
        assert 3 <= len(code.splitlines()) <= 10, where
        assert max(map(len, code.splitlines())) <= 100, where


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for _, path, anchor in links(document):
        target = document.parent / path if path else document
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_named_is_in_the_linked_file(document: Path) -> None:
    for text, path, _ in links(document):
        name = NAME.fullmatch(text)
        if name is None or not path.endswith(".py") or path.endswith(name[1]):
            continue
        code = (document.parent / path).read_text(encoding="utf-8")
        assert defines(code, name[1]), f"{name[1]} in {path}"


def test_a_name_must_be_defined_and_not_only_used() -> None:
    code = "from a import Used\n\nclass Here:\n    def method(self): ...\n\nVALUE = Used()\n"
    assert defines(code, "Here.method")
    assert defines(code, "VALUE")
    assert not defines(code, "Used")
    assert not defines(code, "Here.other")


@pytest.mark.usefixtures("own_registry")
def test_the_rules_of_the_guide_train_and_are_their_equations() -> None:
    namespace: dict[str, object] = {"__name__": "guide"}
    for before, code in snippets(ROOT / "docs" / "write_a_rule.md"):
        exec(compile("\n" * before + code, "write_a_rule.md", "exec"), namespace)
    namespace["test_my_lion_is_its_equation"]()  # type: ignore[operator]
    for kind in ("optimizer", "transform"):
        for name in (name for name in plugins(kind) if name.startswith("my_")):
            setting = f"{kind}={name}" if kind == "optimizer" else f"{kind}=[{name}]"
            result = script.run("model=mlp", "tracking=none", "epochs=2", setting, root=ROOT)
            assert result.metrics["test/accuracy"] > 0.3, name
