"""Errors of the engine layer.

AvatarError                  anything the user can fix; shown as one line, without a traceback
  └─ EngineError             an engine cannot be opened or refuses its input
       └─ ManifestError      a family folder does not match its manifest
"""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Return a library's error in one line: the system's reason, else the message's first line, else the type."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class AvatarError(Exception):
    """Base of all errors whose message is meant for the user.

    The message names the value found, the value expected and, if there is one, the remedy.
    """


class EngineError(AvatarError):
    """An engine cannot be opened, or got a tensor that its specification does not allow."""


class ManifestError(EngineError):
    """A family folder lacks a file, or does not match its manifest."""
