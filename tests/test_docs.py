"""The guides for contributors name modules, packages and commands that exist."""

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
