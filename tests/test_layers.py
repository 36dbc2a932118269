"""The import contracts in pyproject.toml: they hold, and they fail when a package imports upward or sideways."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("streamer", "engines", "export", "clients")
EXPORT_MAY_IMPORT = {"core", "audio", "vision", "avatar", "stages", "pipeline"}


MOST_MODULES = 20  # of one folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all packages and of pyproject.toml."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=lambda folder, names: [n for n in names if not n.endswith(".py") and not Path(folder, n).is_dir()],
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> tuple[int, str]:
    """Exit status and output of `lint-imports` on the packages in `folder`."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        (
            "streamer/desktop/preview.py",
            "from streamer.server import app",
            "streamer.desktop is not allowed to import streamer.server",
        ),
        (
            "streamer/core/aio.py",
            "from streamer.audio import format",
            "streamer.core is not allowed to import streamer.audio",
        ),
        (
            "streamer/session/ends.py",
            "import aiohttp",
            "streamer.session is not allowed to import aiohttp",
        ),
        (
            "engines/json_file.py",
            "import streamer.core.rates",
            "engines is not allowed to import streamer",
        ),
        (
            "export/stand_in.py",
            "import streamer.session.timeline",
            "export is not allowed to import streamer.session",
        ),
    ],
)
def test_an_import_against_the_layers_breaks_a_contract(copy: Path, module: str, line: str, broken: str) -> None:
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    status, output = lint_imports(copy)
    assert status == 1
    assert broken in output


@pytest.mark.process
def test_a_package_that_no_layer_names_breaks_the_contract(copy: Path) -> None:
    (copy / "streamer" / "extra.py").touch()
    status, output = lint_imports(copy)
    assert status == 1
    assert "extra" in output


def test_every_package_is_allowed_or_forbidden_to_export() -> None:
    """A contract lists what is forbidden; this holds the list to all packages but the allowed ones."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(each for each in config["contracts"] if each.get("source_modules") == ["export"])
    forbidden = {module.removeprefix("streamer.") for module in contract["forbidden_modules"]} - {"clients"}
    packages = {
        path.stem
        for path in (ROOT / "streamer").iterdir()
        if not path.stem.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").is_file())
    }
    assert forbidden == packages - EXPORT_MAY_IMPORT


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_modules_than_are_read_at_once(package: str) -> None:
    modules = Counter(path.parent for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py")
    assert {str(folder.relative_to(ROOT)): n for folder, n in modules.items() if n > MOST_MODULES} == {}
