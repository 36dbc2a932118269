"""The result of a check, and how it is graded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from streamer.core.errors import AvatarError

OTHERS_WORDS = 160  # characters kept of an error from a library


class Weight(Enum):
    """Severity of a finding; `WARNING` concerns something that not every user needs."""

    GOOD = "ok"
    WARNING = "note"
    FAULT = "FAULT"


@dataclass(frozen=True)
class Finding:
    """One line of the report. text: the result and, unless it is good, a remedy."""

    weight: Weight
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.weight.value:5s} {self.subject:12s} {self.text}"


def good(subject: str, text: str) -> Finding:
    """Make a finding without a problem."""
    return Finding(Weight.GOOD, subject, text)


def warning(subject: str, text: str) -> Finding:
    """Make a finding about an optional feature that cannot be used."""
    return Finding(Weight.WARNING, subject, text)


def fault(subject: str, text: str) -> Finding:
    """Make a finding about a problem that stops the program from working."""
    return Finding(Weight.FAULT, subject, text)


def looked_at(subject: str, check: Callable[[], Finding], needed: bool = True) -> Finding:
    """Run a check and return its finding; an error becomes a fault or, unless `needed`, a warning."""
    weigh = fault if needed else warning
    try:
        return check()
    except AvatarError as error:
        return weigh(subject, str(error))
    except Exception as error:  # any library error: the remaining checks must still run
        words = " ".join(str(error).split())[:OTHERS_WORDS]
        return weigh(subject, f"{type(error).__name__}: {words}")
