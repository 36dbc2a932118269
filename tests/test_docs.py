"""The guides name modules, packages and commands that exist, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import ROOT

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STREAMER = ROOT / "streamer"


def test_every_package_is_in_the_map() -> None:
    packages = {path.name for path in STREAMER.iterdir() if (path / "__init__.py").is_file()} | {"pipeline.py"}
    rows = re.findall(r"^\| (`[^|]+`) \|", ARCHITECTURE.split("## The way")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`/]+)`", row)} == packages


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_]+\.[a-z_]+)`", ARCHITECTURE))))
def test_every_module_that_is_named_is_there(name: str) -> None:
    if name.rpartition(".")[2] in ("py", "json", "npz", "toml"):
        pytest.skip("the name of a file")
    assert any((root / Path(*name.split("."))).with_suffix(".py").is_file() for root in (STREAMER, ROOT))


def test_every_make_target_that_is_named_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets


def test_the_glossary_has_its_words_in_order() -> None:
    rows = re.findall(r"^\| ([a-z, -]+) \|", ARCHITECTURE.split("## Glossary")[1], re.MULTILINE)[1:]
    assert len(rows) >= 25
    assert rows == sorted(rows)


PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w -]", "", heading).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_guides_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        found = page.parent / target if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


def test_every_guide_is_in_the_sites_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    assert sorted(re.findall(r"- (\S+\.md)$", menu, re.MULTILINE)) == sorted(
        page.name for page in (ROOT / "docs").glob("*.md")
    )
