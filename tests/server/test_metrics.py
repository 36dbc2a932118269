"""What is counted is told: no count without its line on /metrics."""

from __future__ import annotations

import itertools
from dataclasses import fields

from streamer.audio.format import RATE
from streamer.inference.messages import Pulse
from streamer.server.metrics import ServerCounts, SessionCounts, parse, render
from streamer.webrtc.peer_guard import Refused

SCALES = {"sound_missing": RATE, "silence": RATE, "speech_heard_ms": 1000}


def numbered() -> tuple[ServerCounts, SessionCounts, Pulse, dict[str, float]]:
    """Counts that are all different, and the values that are expected of them."""
    numbers = itertools.count(1000)
    expected: dict[str, float] = {}
    peer = Refused(**{item.name: next(numbers) for item in fields(Refused)})
    sessions = SessionCounts(peer=peer)
    for item in fields(SessionCounts):
        if item.name != "peer":
            setattr(sessions, item.name, number := next(numbers))
            expected[item.name] = number / SCALES.get(item.name, 1)
    server = ServerCounts(
        **{item.name: next(numbers) for item in fields(ServerCounts) if item.name != "ready"}, ready=True
    )
    pulse = Pulse(next(numbers), next(numbers), next(numbers), {"render": (next(numbers), next(numbers))})
    for counts in (peer, server):
        expected |= {item.name: float(getattr(counts, item.name)) for item in fields(counts)}
    expected |= {"rendered": pulse.rendered, "expired": pulse.expired, "overflowed": pulse.overflowed}
    return server, sessions, pulse, expected


def test_every_count_has_its_line() -> None:
    server, sessions, pulse, expected = numbered()
    told = {round(value, 4) for value in parse(render(server, sessions, pulse)).values()}
    missing = [name for name, value in expected.items() if round(value, 4) not in told]
    assert missing == []


def test_every_line_is_as_prometheus_reads_it() -> None:
    server, sessions, pulse, _ = numbered()
    known: set[str] = set()
    for line in render(server, sessions, pulse).splitlines():
        if line.startswith("#"):
            _, what, name, *rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE")
            assert rest
            known.add(name)
        else:
            name, value = line.rsplit(" ", 1)
            assert name.split("{")[0] in known
            float(value)
            assert name.startswith("avatar_")


def test_counts_of_sessions_add_up() -> None:
    total = SessionCounts(frames_shown=1, peer=Refused(datagrams=2))
    total.add(SessionCounts(frames_shown=10, frames_stale=5, peer=Refused(datagrams=20, estimates=3)))
    assert total == SessionCounts(frames_shown=11, frames_stale=5, peer=Refused(datagrams=22, estimates=3))
