"""Local web page that shows the face as a moving picture, and nothing else.

It is a page because no window works on every system without a GUI toolkit (this package's OpenCV has none). It uses
Motion JPEG instead of WebRTC because the session runs on the same machine: nothing has to be negotiated, encoded as
video or decoded, and a browser shows it with an `<img>`. Transparent pictures are sent as lossless WebP, which browsers
show in the same way, so the page can overlay a scene in OBS's Browser Source.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import secrets
from collections.abc import AsyncIterator

import cv2
from aiohttp import web
from aiohttp.typedefs import Handler
from PIL import Image

from streamer.core.frames import ByteArray
from streamer.web.guard import guard
from streamer.web.listen import address, listen

HOST = "localhost"
MOST_VIEWERS = 4  # pages at a time; every picture is sent to each
QUALITY = 90  # of the JPEG
BOUNDARY = f"picture-{secrets.token_hex(8)}"  # random, so that no picture contains it
STYLE = "body{margin:0;height:100vh;display:grid;place-items:center}img{height:min(100vh,100vw)}"
GROUND = "body{background:#222}"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Avatar: preview</title>
<link rel="stylesheet" href="/preview.css"><script src="/preview.js" defer></script>
<img src="/picture" alt="The avatar, live"></html>
"""
# Every 2 s the page checks whether the program was restarted or the picture was refused (viewer limit), and reloads it.
SCRIPT = """const picture = document.querySelector("img");
let run = null;
setInterval(async () => {
  const answer = await fetch("/run", { cache: "no-store" }).catch(() => null);
  const now = answer?.ok ? await answer.text() : run;
  const refused = answer?.ok && picture.complete && !picture.naturalWidth;
  if ((run !== null && now !== run) || refused) picture.src = `/picture?${now}-${Date.now()}`;
  run = now;
}, 2000);
"""


class Preview:
    """A `PictureSink`. A slow page skips pictures. `clear`: the page is transparent behind the picture."""

    def __init__(self, clear: bool = False) -> None:
        self._style = STYLE if clear else STYLE + GROUND
        self._encode, kind = (_webp, "image/webp") if clear else (_jpeg, "image/jpeg")
        self._head = f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode()
        self._run = secrets.token_hex(8)
        self._latest: ByteArray | None = None
        self._encoding: asyncio.Task[bytes] | None = None  # of the latest picture, started when a page needs it
        self._changed = asyncio.Event()
        self._viewers = 0

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Set the picture to show from now on."""
        self._latest, self._encoding = rgb, None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextlib.asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[str]:
        """Serve the page on this machine only; yield its address.

        Raises:
            ConfigError: the port is taken.
        """
        listener = listen(HOST, port)
        app = web.Application(middlewares=[guard(HOST, overlay="/")])
        app.add_routes(
            [
                web.get("/", _text(PAGE, "text/html")),
                web.get("/preview.css", _text(self._style, "text/css")),
                web.get("/preview.js", _text(SCRIPT, "text/javascript")),
                web.get("/run", _text(self._run, "text/plain")),
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
        await response.write(self._head)
        while True:
            changed = self._changed
            if (file := await self._file()) is not None:
                # Send the head of the next part at once: Chromium shows a part only after the head of the next one
                # (measured: with each head sent together with its own picture, every picture showed one picture late).
                await response.write(file + b"\r\n" + self._head)
            await changed.wait()

    async def _file(self) -> bytes | None:
        """Return the latest picture, encoded once for all pages; in a thread, because WebP takes some milliseconds."""
        if self._latest is None:
            return None
        if self._encoding is None:
            self._encoding = asyncio.create_task(asyncio.to_thread(self._encode, self._latest))
        return await asyncio.shield(self._encoding)  # a page that closes must not cancel it for the others


def _jpeg(picture: ByteArray) -> bytes:
    """Encode as JPEG. Measured at 256 pixels: 0.4 ms, 10 kB."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _webp(picture: ByteArray) -> bytes:
    """Encode as lossless WebP. Measured at 256 pixels: 1.3 ms, 46 kB; the fastest PNG takes 3.6 ms and 94 kB."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()


def _text(text: str, kind: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type=kind, headers={"Cache-Control": "no-store"})

    return handler


async def _icon(_: web.Request) -> web.Response:
    return web.Response(status=204)  # browsers request an icon
