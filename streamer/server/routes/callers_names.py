"""Names that a caller chooses: a ticket for the waiting line, and a secret key for its session."""

from __future__ import annotations

import re

from aiohttp import web

from streamer.server.admission.waiting_line import TICKET
from streamer.web.access import is_asked_for

KEY = re.compile(r"[A-Za-z0-9_-]{16,128}")


def ticket_of(request: web.Request) -> str | None:
    """Return the caller's ticket for the waiting line, from ?ticket=. Raises HTTPBadRequest."""
    ticket = request.query.get("ticket")
    if ticket is not None and not TICKET.fullmatch(ticket):
        raise web.HTTPBadRequest(text="ticket must be 16 to 64 letters, digits, - or _\n")
    return ticket


def bearer_key_of(request: web.Request) -> str | None:
    """Return the session key from the bearer token; if that is an access token, from ?key=.

    Raises HTTPUnauthorized or HTTPBadRequest.
    """
    if is_asked_for(request):  # then the bearer token is the access token
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
    """Return the session key from ?key=. Raises HTTPBadRequest."""
    key = request.query.get("key")
    if key is not None and not KEY.fullmatch(key):  # a secret, so the message does not contain it
        raise web.HTTPBadRequest(text="key must be 16 to 128 letters, digits, - or _\n")
    return key
