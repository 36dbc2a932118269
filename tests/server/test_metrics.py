"""What is counted is told: no count without its line on /metrics."""

from __future__ import annotations

import itertools
import re
from dataclasses import fields

import pytest

from streamer.audio.format import RATE
from streamer.core.histogram import ANSWER_S, LATENESS_S, STAGE_S, Histogram
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
        if item.name not in ("peer", "lateness"):
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
            assert name.split("{")[0] in known or re.sub("_(bucket|sum|count)$", "", name.split("{")[0]) in known
            float(value)
            assert name.startswith("avatar_")


def test_counts_of_sessions_add_up() -> None:
    total = SessionCounts(frames_shown=1, peer=Refused(datagrams=2))
    total.add(SessionCounts(frames_shown=10, frames_stale=5, peer=Refused(datagrams=20, estimates=3)))
    assert total == SessionCounts(frames_shown=11, frames_stale=5, peer=Refused(datagrams=22, estimates=3))


def test_how_late_pictures_come_and_how_long_work_takes_is_told_by_size() -> None:
    late, stage, answers = Histogram(LATENESS_S), Histogram(STAGE_S), Histogram(ANSWER_S)
    for value in (-0.1, -0.01, 0.03, 9.0):
        late.note(value)
    stage.note(0.012, times=3)
    answers.note(0.3)
    pulse = Pulse(latencies={"render": stage})
    told = parse(render(numbered()[0], SessionCounts(lateness=late), pulse, {("GET", "/avatars", "2xx"): answers}))
    lates = [told[f'picture_lateness_seconds_bucket{{le="{bound}"}}'] for bound in ("-0.12", "0.0", "0.04", "+Inf")]
    assert lates == [0, 2, 3, 4]
    assert told['stage_latency_seconds_bucket{le="0.01",stage="render"}'] == 0
    assert told['stage_latency_seconds_count{stage="render"}'] == 3
    assert told['stage_latency_seconds_sum{stage="render"}'] == pytest.approx(0.036)
    assert told['answer_seconds_bucket{le="0.5",method="GET",route="/avatars",status="2xx"}'] == 1


def test_the_servers_own_process_is_told() -> None:
    told = parse(render(*numbered()[:3]))
    assert told["process_resident_memory_bytes"] > 0


def test_histograms_of_sessions_add_up() -> None:
    one, other = Histogram(LATENESS_S), Histogram(LATENESS_S)
    one.note(0.01)
    other.note(0.01)
    other.note(5.0)
    total = SessionCounts(lateness=one)
    total.add(SessionCounts(lateness=other))
    assert total.lateness.cumulative()[-1] == ("+Inf", 3)
