"""GET /ice: TURN servers for browsers behind a firewall."""

from __future__ import annotations

import time

from aiohttp import web

from streamer.core.limits import Limits
from streamer.web.access import grant_of
from streamer.webrtc.turn_credentials import Turn

SPARE_S = 600.0  # allowed time from this response to the call


class IceHandlers:
    """The handler of one server. `turn`: None without a TURN server."""

    def __init__(self, turn: Turn | None, limits: Limits) -> None:
        self._turn = turn
        self._lasts_s = limits.max_session_s + SPARE_S  # a relay is renewed with the same credentials

    async def servers(self, request: web.Request) -> web.Response:
        """Return {"ice_servers": [for RTCPeerConnection]}, with credentials valid for the longest possible session."""
        found = []
        if self._turn is not None:
            found.append(self._turn.ice_server(grant_of(request).owner or "visitor", time.time() + self._lasts_s))
        return web.json_response({"ice_servers": found}, headers={"Cache-Control": "no-store"})
