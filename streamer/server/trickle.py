"""Trickled ICE candidates (RFC 8840), as WHIP and WHEP clients send them by PATCH.

They are accepted but not needed: the SDP answer has all candidates of the server, and the server learns a client's
address from its connectivity checks. A different a=ice-ufrag would mean an ICE restart, which is not supported
(RFC 9725, section 4.3.3: 422).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from streamer.webrtc.sections import ufrag_of

SDP_FRAGMENT = "application/trickle-ice-sdpfrag"


async def take_fragment(
    request: web.Request, ufrag: str, read: Callable[[web.Request], Awaitable[str]]
) -> web.Response:
    """Answer a PATCH of a client whose offer had this `ufrag`. read: reads the body. Raises HTTPException."""
    if request.content_type != SDP_FRAGMENT:
        raise web.HTTPUnsupportedMediaType(text=f"content type {request.content_type[:80]}, expected {SDP_FRAGMENT}\n")
    found = ufrag_of(await read(request))
    if not found:
        raise web.HTTPBadRequest(text="the SDP fragment has no a=ice-ufrag\n")
    if found != ufrag:
        raise web.HTTPUnprocessableEntity(text="ICE cannot be restarted; call anew\n")
    return web.Response(status=204)
