"""What is installed is complete: the networks, the characters and the page travel with the code."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import clients
import engines
from engines.landmarks import MODELS
from engines.manifest import Manifest
from tests import ROOT

PACKAGES = {"engines": Path(engines.__file__).parent, "clients": Path(clients.__file__).parent}


def packaged(package: str) -> set[Path]:
    """Files that the package's data patterns choose."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"][package]
    folder = PACKAGES[package]
    return {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}


def test_the_shipped_family_is_packaged_and_whole() -> None:
    folder = PACKAGES["engines"] / "starter"
    manifest = Manifest.load(folder)
    files = {graph.path for stage in manifest.stages.values() for graph in stage.graphs}
    for name in manifest.avatars:
        files |= {
            folder / "avatars" / name / file for file in ("avatar.json", "portrait.webp", "matte.png", "arrays.npz")
        }
    assert files | {folder / "manifest.json", folder / "topology.npz"} <= packaged("engines")


def test_the_face_models_are_packaged_with_their_licence() -> None:
    folder = PACKAGES["engines"] / "landmarks"
    assert {folder / f"{name}.onnx" for name in MODELS} | {folder / "LICENSE"} <= packaged("engines")


def test_the_page_is_packaged() -> None:
    page = PACKAGES["clients"] / "web"
    files = {path for path in page.rglob("*") if path.is_file() and not fnmatch(path.name, ".*")}
    assert files <= packaged("clients")
    assert (page / "index.html").is_file()


def test_the_repository_stays_light() -> None:
    """Git keeps every version for ever."""
    assert sum(path.stat().st_size for path in packaged("engines")) < 15_000_000


def locked() -> dict[str, list[Requirement]]:
    """The versions that continuous integration installs, by name."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("extra", ["", "dev", "rtx"])
def test_what_is_tested_has_one_locked_version_that_fits(extra: str) -> None:
    """`make lock` chooses anew."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    versions = locked()
    for text in project["optional-dependencies"][extra] if extra else project["dependencies"]:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"platform_machine": "x86_64"}):
            continue
        for chosen in versions[canonicalize_name(wanted.name)]:
            (version,) = chosen.specifier
            assert version.operator == "=="
            assert wanted.specifier.contains(version.version), f"{wanted}: {chosen}; run `make lock`"


def test_locked_versions_name_no_place() -> None:
    assert all(requirement.url is None for chosen in locked().values() for requirement in chosen)
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")
