"""The log on standard error: as plain text, or as JSON with one object per line.

Tokens, session URLs, pictures and sound are never logged. A session is identified by a short hash of its token, which
gives no access to it.
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
FORMAT_VARIABLE = "AVATAR_LOG_FORMAT"  # so that child processes use the same format
TEXT = "%(levelname)s %(message)s"
_FIELDS = "avatar_fields"
_session: ContextVar[str | None] = ContextVar("session", default=None)


def fields(**values: Any) -> dict[str, Any]:
    """Return the `extra` argument of a logger call that adds these values as separate fields."""
    return {_FIELDS: values}


@contextlib.contextmanager
def of_session(token: str) -> Iterator[None]:
    """Mark log lines in the block, and in tasks started in it, as belonging to the session with this token."""
    name = hashlib.blake2b(token.encode(), digest_size=5, person=b"log").hexdigest()
    before = _session.set(name)
    try:
        yield
    finally:
        _session.reset(before)


def set_up(level: int, form: str | None = None, text: str = TEXT) -> None:
    """Set up logging from `level` on. form: one of FORMATS, None: as AVATAR_LOG_FORMAT; text: format of text lines."""
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
    """Formats a record as a JSON object: time, level, logger, message, and session, error and fields if present."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, whatever the message contains."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        found: dict[str, Any] = {"time": moment.isoformat(timespec="milliseconds"), "level": record.levelname.lower()}
        found |= {"logger": record.name, "message": record.getMessage()}
        if (session := _session.get()) is not None:
            found["session"] = session
        found |= getattr(record, _FIELDS, {})
        if record.exc_info:
            found["error"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False, default=str)
