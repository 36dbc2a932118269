"""Errors of the engine layer.

AvatarError                  anything a person can put right; shown as one line, without a traceback
  └─ EngineError             an engine cannot be opened or refuses its input
       └─ ManifestError      a family folder does not hold what its manifest says
"""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """A library's error as part of one line: the system's reason, else the message's first line, else the kind."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class AvatarError(Exception):
    """Base of every error whose message is meant for the person in front of the program.

    The message names what was found, what was expected and, where there is one, the way out.
    """


class EngineError(AvatarError):
    """An engine cannot be opened, or was given a tensor its specification does not allow."""


class ManifestError(EngineError):
    """A family folder is missing something, or holds something other than its manifest says."""
