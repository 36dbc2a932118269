"""What is installed is complete: the networks, the characters and the page travel with the code."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

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
