"""The log, on standard error: for people, or as JSON, one object a line.

Nothing that is logged is a token, a session's address, a picture or sound; a session goes by a short name made of its
token, which leads nowhere.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from streamer.core import console

FORMATS = ("text", "json")
FORMAT_VARIABLE = "AVATAR_LOG_FORMAT"  # child processes log likewise
TEXT = "%(levelname)s %(message)s"
_FIELDS = "avatar_fields"
_session: ContextVar[str | None] = ContextVar("session", default=None)


def fields(**values: Any) -> dict[str, Any]:
    """Values of their own beside a line's text, as `extra` of a logger."""
    return {_FIELDS: values}


@contextlib.contextmanager
def of_session(token: str) -> Iterator[None]:
    """Inside, and in tasks begun inside, lines are of the session with this token."""
    name = hashlib.blake2b(token.encode(), digest_size=5, person=b"log").hexdigest()
    before = _session.set(name)
    try:
        yield
    finally:
        _session.reset(before)


def set_up(level: int, form: str | None = None, text: str = TEXT) -> None:
    """Log what is of this level or more. form: one of FORMATS, None is as AVATAR_LOG_FORMAT has it; text: of a line."""
    chosen = form or os.environ.get(FORMAT_VARIABLE, FORMATS[0])
    if form is not None:
        os.environ[FORMAT_VARIABLE] = form
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if chosen == "json" else logging.Formatter(text))
    logging.basicConfig(level=level, handlers=[handler])
    if chosen == "json":
        notes = logging.getLogger("streamer.notes")
        notes.setLevel(logging.INFO)
        console.divert(notes.info)


class JsonFormatter(logging.Formatter):
    """A line as an object: time, level, logger, message; session, error and fields where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        found: dict[str, Any] = {"time": moment.isoformat(timespec="milliseconds"), "level": record.levelname.lower()}
        found |= {"logger": record.name, "message": record.getMessage()}
        if (session := _session.get()) is not None:
            found["session"] = session
        found |= getattr(record, _FIELDS, {})
        if record.exc_info:
            found["error"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False, default=str)
