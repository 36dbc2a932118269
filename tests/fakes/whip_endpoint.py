"""A small WHIP endpoint (RFC 9725): it takes one stream at a time and keeps what comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

LINK = (
    '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="me"; credential="a, b"; '
    'credential-type="password"'
)


@dataclass
class WhipEndpoint:
    """`token`: that it asks for. `requests`: method and path of each, with the token that came."""

    token: str = "the-token-of-the-stream"
    url: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    pictures: list[Any] = field(default_factory=list)
    sounds: list[Any] = field(default_factory=list)
    peer: RTCPeerConnection | None = None
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization")
        self.requests.append((request.method, request.path, given))
        if request.path == "/elsewhere":
            raise web.HTTPTemporaryRedirect("/whip/live")
        if request.path == "/circle":
            raise web.HTTPTemporaryRedirect("/circle")
        if request.path == "/page":
            return web.Response(text="<h1>Welcome</h1>", content_type="text/html", status=201)
        if given != f"Bearer {self.token}":
            raise web.HTTPForbidden(text="this stream's token is another one\n")
        if request.method == "DELETE":
            return web.Response()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.on("track", lambda track: self.readers.append(asyncio.create_task(self._read(track))))
        await self.peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        headers = {"Location": "../sessions/1", "ETag": '"first"', "Link": LINK}
        answer = self.peer.localDescription.sdp
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                (self.pictures if track.kind == "video" else self.sounds).append(await track.recv())


@asynccontextmanager
async def whip_endpoint() -> AsyncIterator[WhipEndpoint]:
    endpoint = WhipEndpoint()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endpoint.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield endpoint
    finally:
        if endpoint.peer is not None:
            await endpoint.peer.close()
        await asyncio.gather(*endpoint.readers, return_exceptions=True)
        await runner.cleanup()
