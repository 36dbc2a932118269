"""The list of revoked tokens: a running server sees what is added, and forgets nothing when the file is damaged."""

from __future__ import annotations

import logging
import stat
import time
from pathlib import Path

import pytest

from streamer.access.revocation import LOOK_S, MOST_BYTES, Entry, Revocations, add, read
from streamer.core.errors import ConfigError
from tests.fakes.clock import FakeClock


def entry(name: str, lasts_s: float = 60.0) -> Entry:
    return Entry(name, time.time() + lasts_s)


async def test_what_is_revoked_is_seen_at_the_next_look(tmp_path: Path) -> None:
    path, clock = tmp_path / "home" / "list", FakeClock()
    revocations = Revocations(path, clock)
    assert not revocations.hold("a")
    add(path, [entry("a"), entry("b")])
    await clock.advance(LOOK_S)
    assert (revocations.hold("a"), revocations.hold("b"), revocations.hold("c")) == (True, True, False)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


async def test_a_damaged_list_lets_nobody_back_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "list", FakeClock()
    revocations = Revocations(path, clock)
    add(path, [entry("a")])
    assert revocations.hold("a")
    for damaged in (b"what is this?\n", b"\xff\xfe", bytes(MOST_BYTES + 1)):
        path.write_bytes(damaged)
        await clock.advance(LOOK_S)
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            assert revocations.hold("a")
        assert "the revoked tokens of before stay so" in caplog.text


def test_what_has_expired_is_forgotten_and_a_long_list_is_shortened(tmp_path: Path) -> None:
    path = tmp_path / "list"
    add(path, [entry("old", -3600.0), entry("new")])
    assert set(read(path, time.time())) == {"new"}
    add(path, [Entry(f"{number:064}", 1.0) for number in range(MOST_BYTES // 150)])
    add(path, [entry("newer")])
    assert set(read(path, time.time())) == {"new", "newer"}
    assert path.stat().st_size < 1000


def test_a_full_list_is_told(tmp_path: Path) -> None:
    path = tmp_path / "list"
    many = [entry(f"{number:064}") for number in range(MOST_BYTES // 200)]
    add(path, many)
    with pytest.raises(ConfigError, match="is full"):
        add(path, [entry(f"x{number:060}") for number in range(MOST_BYTES // 110)])
    assert len(read(path, time.time())) == len(many)


def test_a_list_that_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path, 0.0)
    with pytest.raises(ConfigError, match="cannot be written"):
        add(tmp_path, [entry("a")])
