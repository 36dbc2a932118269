"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from streamer.core.errors import AvatarError

OTHERS_WORDS = 160  # characters of an error that is not ours


class Weight(Enum):
    """How much a finding matters: `WARNING` is of something that not everybody needs."""

    GOOD = "ok"
    WARNING = "note"
    FAULT = "FAULT"


@dataclass(frozen=True)
class Finding:
    """One line. text: what was found and, if it is not good, the way out."""

    weight: Weight
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.weight.value:5s} {self.subject:12s} {self.text}"


def good(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(Weight.GOOD, subject, text)


def warning(subject: str, text: str) -> Finding:
    """Something cannot be used, which is of no matter to who does not want it."""
    return Finding(Weight.WARNING, subject, text)


def fault(subject: str, text: str) -> Finding:
    """Nothing goes without it."""
    return Finding(Weight.FAULT, subject, text)


def looked_at(subject: str, check: Callable[[], Finding], needed: bool = True) -> Finding:
    """What a check finds; an error that it raises is its finding. needed: that is a fault, and no warning."""
    weigh = fault if needed else warning
    try:
        return check()
    except AvatarError as error:
        return weigh(subject, str(error))
    except Exception as error:  # whatever a library raises: the next checks are made all the same
        words = " ".join(str(error).split())[:OTHERS_WORDS]
        return weigh(subject, f"{type(error).__name__}: {words}")
