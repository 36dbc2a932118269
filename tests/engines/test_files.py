"""Files are replaced whole, and those of a person are the person's only."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from engines.files import private_folder, replacing, write_bytes

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"before")
    with replacing(target) as partial:
        partial.write_bytes(b"after")
        assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert target.read_bytes() == b"after"


@pytest.mark.parametrize("interruption", [OSError, KeyboardInterrupt])
def test_a_failed_write_keeps_the_old_file(interruption: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"before")

    def write() -> None:
        with replacing(target) as partial:
            partial.write_bytes(b"half")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert target.read_bytes() == b"before"


@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_private_files_and_folders_are_closed_to_others_from_the_start(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        private_folder(tmp_path / "avatars" / "me")
        with replacing(tmp_path / "avatars" / "me" / "a.png", private=True) as partial:
            partial.write_bytes(b"picture")
            assert mode(partial) == 0o600
        write_bytes(tmp_path / "shared.json", b"{}")
    finally:
        os.umask(before)
    assert mode(tmp_path / "avatars" / "me") == 0o700
    assert mode(tmp_path / "avatars" / "me" / "a.png") == 0o600
    assert mode(tmp_path / "shared.json") == 0o666 & ~umask
