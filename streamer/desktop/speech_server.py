"""Pushed speech for a local session: the speech protocol on a localhost port, without the avatar server."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from streamer.web.guard import guard
from streamer.web.listen import address, listen
from streamer.web.speech_socket import SpokenFor, serve_speech

HOST = "localhost"
PATH = "/speech"


class LocalSpeech:
    """A listening port, bound by the constructor; clients that connect before `served` wait."""

    def __init__(self, port: int) -> None:
        """Raises ConfigError when the port is taken. Port 0 takes any free one."""
        self._listener: socket.socket = listen(HOST, port, "--speech")
        self.address = address(HOST, self._listener).replace("http:", "ws:", 1).rstrip("/") + PATH

    def __enter__(self) -> LocalSpeech:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @contextlib.asynccontextmanager
    async def served(self, session: SpokenFor) -> AsyncIterator[None]:
        """Accept clients that push speech to the session, one at a time, while the context is open."""

        async def speech(request: web.Request) -> web.StreamResponse:
            return await serve_speech(session, request)

        app = web.Application(middlewares=[guard(HOST)])
        app.add_routes([web.get(PATH, speech)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)  # time for the closing handshakes
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener).start()
            yield
        finally:
            await runner.cleanup()
