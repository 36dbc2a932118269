"""The face on a page of this machine: a picture that moves, and nothing else.

A page, because there is no window that works everywhere without a toolkit (this package's OpenCV has none); and a page
of its own with Motion JPEG rather than the WebRTC server's, because the session is here already: nothing has to be
negotiated, encoded as video or decoded, and a browser shows it with an `<img>`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import cv2
from aiohttp import web

from streamer.frames import ByteArray
from streamer.guard import guard
from streamer.server import address, listen

HOST = "localhost"
MOST_VIEWERS = 4  # pages at a time: each is sent every picture
QUALITY = 90  # of the JPEG
BOUNDARY = "picture"
STYLE = "body{margin:0;height:100vh;display:grid;place-items:center;background:#222}img{height:min(100vh,100vw)}"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Avatar: preview</title>
<link rel="stylesheet" href="/preview.css"><img src="/picture" alt="The avatar, live"></html>
"""


class Preview:
    """A `PictureSink`. A page that is slower than the pictures misses some."""

    def __init__(self) -> None:
        self._latest: ByteArray | None = None
        self._file: bytes | None = None  # of the latest, made when somebody looks
        self._kind = ""  # of the file
        self._changed = asyncio.Event()
        self._viewers = 0

    def show(self, frame: int, rgb: ByteArray) -> None:
        """The picture to show from now on."""
        self._latest, self._file = rgb, None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextlib.asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[str]:
        """Serve the page on this machine only; gives its address.

        Raises:
            ConfigError: the port is taken.
        """
        listener = listen(HOST, port)
        app = web.Application(middlewares=[guard(HOST)])
        app.add_routes(
            [
                web.get("/", _page),
                web.get("/preview.css", _style),
                web.get("/picture", self._picture),
                web.get("/favicon.ico", _icon),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield address(HOST, listener)
        finally:
            await runner.cleanup()

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        if self._viewers >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} pages look already\n")
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        response = web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-store"})
        self._viewers += 1
        try:
            with contextlib.suppress(ConnectionResetError):  # the page was closed
                await response.prepare(request)
                await self._send(response)
        finally:
            self._viewers -= 1
        return response

    async def _send(self, response: web.StreamResponse) -> None:
        await response.write(f"--{BOUNDARY}\r\n".encode())
        while True:
            changed = self._changed
            if (encoded := self._encoded()) is not None:
                head = f"Content-Type: {self._kind}\r\nContent-Length: {len(encoded)}\r\n\r\n"
                # The boundary at once, not before the next picture: a browser shows a part when it has ended.
                await response.write(head.encode() + encoded + f"\r\n--{BOUNDARY}\r\n".encode())
            await changed.wait()

    def _encoded(self) -> bytes | None:
        if self._file is None and self._latest is not None:
            if self._latest.shape[2] == 4:  # JPEG has no transparency
                bgra = cv2.cvtColor(self._latest, cv2.COLOR_RGBA2BGRA)
                self._kind, way = "image/png", (".png", bgra, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            else:
                bgr = cv2.cvtColor(self._latest, cv2.COLOR_RGB2BGR)
                self._kind, way = "image/jpeg", (".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            self._file = cv2.imencode(*way)[1].tobytes()
        return self._file


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _style(_: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css")


async def _icon(_: web.Request) -> web.Response:
    return web.Response(status=204)  # browsers ask for one
