"""The server's metrics as Prometheus text. Counters cover all sessions since the start, including ended ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from streamer.audio.format import RATE
from streamer.core.histogram import LATENESS_S, Histogram
from streamer.core.rungs import NAMES
from streamer.inference.messages import Pulse
from streamer.webrtc.peer_guard import Refused

PREFIX = "avatar_"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass
class SessionCounts:
    """Counters of one session, or the sum of several. Samples are at `audio.format.RATE`."""

    frames_shown: int = 0
    frames_repeated: int = 0  # the last picture shown again, because the next was late
    frames_dropped: int = 0  # pictures that arrived after their due time
    sound_missing: int = 0  # audio underrun: samples of silence played for lack of sound
    packets_lost: int = 0  # microphone packets
    packets_late: int = 0
    silence: int = 0  # microphone samples filled in because none arrived
    clock_shifts: int = 0  # resynchronizations of the microphone's clock to ours
    frames_late: int = 0  # pictures shown a little after their due time
    frames_stale: int = 0  # pictures rendered for sound that was cut off meanwhile
    frames_unsent: int = 0  # pictures that the sender did not take in time
    sound_unsent: int = 0  # packets that the sender did not take in time
    peer: Refused = field(default_factory=Refused)  # packets dropped by the peer guard
    speech_clients: int = 0  # connections of speech clients
    speech_utterances: int = 0
    speech_clears: int = 0
    speech_heard_ms: int = 0
    speech_refused: int = 0  # messages refused
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS_S))  # of pictures, in seconds

    def add(self, other: SessionCounts) -> None:
        """Add another session's counts to these."""
        _add(self, other)


@dataclass(frozen=True)
class ServerCounts:
    """Counters and gauges of the server itself."""

    ready: bool
    open_sessions: int
    most_sessions: int  # the current session limit
    waiting: int  # callers in the waiting line
    sessions: int
    refused: int
    worker_starts: int
    messages_dropped: int
    pictures_overwritten: int
    speech_clients: int  # connected now
    displaced: int = 0  # sessions evicted for another caller
    requests_refused: int = 0  # over a rate limit
    connections: int = 0  # open now
    connections_refused: int = 0
    connections_timed_out: int = 0


def render(
    server: ServerCounts,
    sessions: SessionCounts,
    pulse: Pulse,
    answers: Mapping[tuple[str, str, str], Histogram] | None = None,
) -> str:
    """Return the text of GET /metrics. answers: response times by method, route and status."""
    registry = CollectorRegistry()
    registry.register(_Counts(server, sessions, pulse))
    registry.register(_Distributions(sessions.lateness, pulse.latencies, answers or {}))
    registry.register(ProcessCollector(PREFIX[:-1], registry=None))
    return generate_latest(registry).decode()


class _Counts(Collector):
    """Collector of the counters and gauges, a snapshot."""

    def __init__(self, server: ServerCounts, sessions: SessionCounts, pulse: Pulse) -> None:
        self._server, self._sessions, self._pulse = server, sessions, pulse

    def collect(self) -> Iterable[Metric]:
        """Yield each metric with its samples."""
        server, sessions, pulse = self._server, self._sessions, self._pulse
        for name, kind, explanation, value in (
            ("ready", "gauge", "1 when the engines are warm", int(server.ready)),
            ("sessions_open", "gauge", "Sessions now", server.open_sessions),
            ("sessions_most", "gauge", "Sessions that there may be now", server.most_sessions),
            ("sessions_waiting", "gauge", "Callers in line", server.waiting),
            ("sessions_total", "counter", "Sessions begun", server.sessions),
            ("sessions_refused_total", "counter", "Offers refused", server.refused),
            ("sessions_displaced_total", "counter", "Sessions whose place went to another caller", server.displaced),
            ("requests_refused_total", "counter", "Requests beyond a rate", server.requests_refused),
            ("connections_open", "gauge", "HTTP connections now", server.connections),
            ("connections_refused_total", "counter", "Connections that had to make room", server.connections_refused),
            ("connections_timed_out_total", "counter", "Connections closed for idleness", server.connections_timed_out),
            ("worker_starts_total", "counter", "Starts of the inference process", server.worker_starts),
            ("worker_messages_dropped_total", "counter", "Messages it had no room for", server.messages_dropped),
            ("worker_pictures_overwritten_total", "counter", "Pictures read too late", server.pictures_overwritten),
            ("frames_rendered_total", "counter", "Pictures made", pulse.rendered),
            ("frames_expired_total", "counter", "Pictures not made: their moment had passed", pulse.expired),
            ("frames_overflowed_total", "counter", "Pictures not made: too many waited", pulse.overflowed),
            ("ladder_rung", "gauge", "How much is left out now, 0 being nothing", pulse.rung),
            ("worker_busy_ratio", "gauge", "Share of its time that it worked lately", pulse.busy),
            ("worker_frame_seconds", "gauge", "Time that a painted frame takes, all of it", pulse.frame_s),
            ("frames_shown_total", "counter", "Pictures sent", sessions.frames_shown),
            ("frames_repeated_total", "counter", "Repeats of a picture, the next being late", sessions.frames_repeated),
            ("frames_late_total", "counter", "Pictures sent a little after their moment", sessions.frames_late),
            ("frames_dropped_total", "counter", "Pictures that came too late to be sent", sessions.frames_dropped),
            ("frames_stale_total", "counter", "Pictures for sound that was cut off meanwhile", sessions.frames_stale),
            ("frames_unsent_total", "counter", "Pictures the sender did not take in time", sessions.frames_unsent),
            ("sound_unsent_packets_total", "counter", "Sound the sender did not take in time", sessions.sound_unsent),
            ("sound_missing_seconds_total", "counter", "Silence sent for want of sound", sessions.sound_missing / RATE),
            ("microphone_packets_lost_total", "counter", "Packets that never came", sessions.packets_lost),
            ("microphone_packets_late_total", "counter", "Packets that came too late", sessions.packets_late),
            ("microphone_silence_seconds_total", "counter", "Microphone silence made up", sessions.silence / RATE),
            ("microphone_clock_shifts_total", "counter", "Times its clock was tied anew", sessions.clock_shifts),
            ("speech_clients_open", "gauge", "Clients that may push speech now", server.speech_clients),
            ("speech_clients_total", "counter", "Clients that came to push speech", sessions.speech_clients),
            ("speech_utterances_total", "counter", "Utterances begun", sessions.speech_utterances),
            ("speech_clears_total", "counter", "Times pushed speech was cut off", sessions.speech_clears),
            ("messages_refused_total", "counter", "Messages of speech clients refused", sessions.speech_refused),
            ("speech_heard_seconds_total", "counter", "Speech sent to be heard", sessions.speech_heard_ms / 1000),
        ):
            yield _metric(name, kind, explanation, value)
        peer = {item.name: getattr(sessions.peer, item.name) for item in fields(sessions.peer)}
        yield _labelled("peer_refused_total", "What peers sent beyond their budgets", "kind", peer)
        steps = {name: pulse.steps.get(name, 0) for name in NAMES[1:]}
        yield _labelled("ladder_steps_total", "Times that more had to be left out", "rung", steps)
        runs = {stage: count for stage, (count, _) in pulse.stages.items()}
        seconds = {stage: total for stage, (_, total) in pulse.stages.items()}
        yield _labelled("stage_runs_total", "Frames a stage worked on", "stage", runs)
        yield _labelled("stage_seconds_total", "Time it took", "stage", seconds)


class _Distributions(Collector):
    """Collector of the histograms, a snapshot."""

    def __init__(
        self,
        lateness: Histogram,
        stages: Mapping[str, Histogram],
        answers: Mapping[tuple[str, str, str], Histogram],
    ) -> None:
        self._lateness, self._stages, self._answers = lateness, stages, answers

    def collect(self) -> Iterable[Metric]:
        """Yield each metric with its samples."""
        late = "How long after its moment a picture came; negative: before, which is the slack"
        yield _histogram("picture_lateness_seconds", late, (), {(): self._lateness})
        stages = {(name,): values for name, values in self._stages.items()}
        yield _histogram("stage_latency_seconds", "Time that a stage took for a frame", ("stage",), stages)
        labels = ("method", "route", "status")
        yield _histogram("answer_seconds", "Time until an answer, sockets left out", labels, self._answers)


def _add(total: SessionCounts | Refused, other: SessionCounts | Refused) -> None:
    for item in fields(total):
        value, more = getattr(total, item.name), getattr(other, item.name)
        if isinstance(value, Refused):
            _add(value, more)
        elif isinstance(value, Histogram):
            value.add(more)
        else:
            setattr(total, item.name, value + more)


def parse(text: str) -> dict[str, float]:
    """Parse the text of `render`; return values by name, with labels and without the prefix."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[sample.name.removeprefix(PREFIX) + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def _metric(name: str, kind: str, explanation: str, value: float) -> Metric:
    family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    return family(PREFIX + name, explanation, value=value)


def _histogram(name: str, explanation: str, labels: tuple[str, ...], values: Mapping[Any, Histogram]) -> Metric:
    """Return a histogram family. values: histograms by their tuple of label values."""
    family = HistogramMetricFamily(PREFIX + name, explanation, labels=labels)
    for of, each in values.items():
        family.add_metric(of, each.cumulative(), each.total)
    return family


def _labelled(name: str, explanation: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, explanation, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
