"""Speech in for a session on this machine: the speech protocol on a port of localhost, without the server."""

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
    """The port, taken as soon as this is made; clients that come before `served` wait."""

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
        """Let clients speak for the session, one at a time."""

        async def speech(request: web.Request) -> web.StreamResponse:
            return await serve_speech(session, request)

        app = web.Application(middlewares=[guard(HOST)])
        app.add_routes([web.get(PATH, speech)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)  # for the goodbyes
        await runner.setup()
        try:
            await web.SockSite(runner, self._listener).start()
            yield
        finally:
            await runner.cleanup()
