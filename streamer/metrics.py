"""What the server counts, in the text format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field

Labels = Mapping[str, str]


@dataclass
class MediaCounts:
    """What happened to the media of one session, or of all that have ended."""

    frames_sent: int = 0
    frames_repeated: int = 0  # of them: the last picture again, because the next was late
    frames_dropped: int = 0  # made too late to be shown
    silence_samples: int = 0  # at 48 kHz: made up because the microphone's packets did not come
    packets_lost: int = 0
    packets_late: int = 0  # came too late to be heard in full

    def __add__(self, other: MediaCounts) -> MediaCounts:
        return MediaCounts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Metric:
    """One metric: `values` are samples, each with its labels."""

    name: str
    kind: str  # counter or gauge
    help: str
    values: list[tuple[Labels, float]] = field(default_factory=list)


def single(name: str, kind: str, text: str, value: float) -> Metric:
    """A metric without labels."""
    return Metric(name, kind, text, [({}, value)])


def exposition(metrics: Iterable[Metric]) -> str:
    """The metrics as Prometheus text format 0.0.4."""
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {value:.10g}" for labels, value in metric.values]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
