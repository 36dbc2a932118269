"""The HTTP server: the page, opening and ending sessions, health and metrics.

    GET    /                      the page
    POST   /session               SDP offer in, 201 with the SDP answer and Location out; ?avatar=NAME ?lookahead=MS
    DELETE /session/<id>          ends it
    GET    /avatars               which avatars there are; /avatars/<name>/picture is one's portrait
    GET    /healthz               200 when sessions can be opened, else 503
    GET    /metrics               Prometheus text

The shape is that of WHIP (RFC 9725), except that audio goes both ways and video comes back on the same connection.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from aiohttp import web

from streamer.config import ServeOptions
from streamer.studio import Studio

logger = logging.getLogger(__name__)

SDP = "application/sdp"
BODY_S = 5.0  # for a client to send its offer
SWITCH_INTERVAL_S = 0.0005  # a busy thread may hold up the sound for no longer
ASSETS = {"/": "index.html", "/avatar.js": "avatar.js", "/call.js": "call.js", "/level.js": "level.js"}
ASSETS |= {"/style.css": "style.css", "/icon.svg": "icon.svg"}
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
STUDIO = web.AppKey("studio", Studio)


def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        AvatarError: the port is taken, or the engines cannot be used.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    asyncio.run(_serve(options))
