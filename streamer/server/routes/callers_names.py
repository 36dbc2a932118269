"""What a caller of its own making may name itself and its session by: a ticket, and a key, which is a secret."""

from __future__ import annotations

import re

from aiohttp import web

from streamer.server.admission.waiting_line import TICKET
from streamer.web.access import is_asked_for

KEY = re.compile(r"[A-Za-z0-9_-]{16,128}")


def ticket_of(request: web.Request) -> str | None:
    """By which it waits in line: ?ticket=. Raises HTTPBadRequest."""
    ticket = request.query.get("ticket")
    if ticket is not None and not TICKET.fullmatch(ticket):
        raise web.HTTPBadRequest(text="ticket must be 16 to 64 letters, digits, - or _\n")
    return ticket


def bearer_key_of(request: web.Request) -> str | None:
    """By which its session is found: the bearer token, where that is no access token. Raises HTTPUnauthorized."""
    if is_asked_for(request):  # then the bearer token is that of the server
        return key_of(request)
    given = request.headers.get("Authorization")
    if given is None:
        return None
    if not KEY.fullmatch(key := given.removeprefix("Bearer ").strip()):
        raise web.HTTPUnauthorized(
            text="the bearer token must be 16 to 128 letters, digits, - or _\n", headers={"WWW-Authenticate": "Bearer"}
        )
    return key


def key_of(request: web.Request) -> str | None:
    """By which its session is found: ?key=. Raises HTTPBadRequest."""
    key = request.query.get("key")
    if key is not None and not KEY.fullmatch(key):  # it is a secret: not repeated
        raise web.HTTPBadRequest(text="key must be 16 to 128 letters, digits, - or _\n")
    return key
