"""Attacks that need no session: connections, requests, bodies."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import struct
import zlib
from random import Random

import numpy as np
from PIL import Image

from streamer.server.routes.scopes import SCOPES
from tests import ROOT
from tests.measure.hostile.scene import Scene

SDP = "Content-Type: application/sdp"
OFFER = sorted((ROOT / "tests/data/offers").glob("*.sdp"))[0].read_text()
ROUTES = [(method, path.lstrip("/").replace("{", "").replace("}", "")) for method, path in SCOPES]
BODIES = [route for route in ROUTES if route[0] in ("POST", "PATCH")]


async def half_requests(scene: Scene) -> None:
    """Headers without an end, for each route, a line a second."""

    async def one(number: int) -> None:
        method, path = ROUTES[number % len(ROUTES)]
        async with scene.connected() as (reader, writer):
            writer.write(scene.request(method, path)[:-2])
            scene.tried["begun"] += 1
            while not scene.over:
                writer.write(b"X-More: and more\r\n")
                await writer.drain()
                async with asyncio.timeout(1.0):
                    await reader.read(1)
                    raise ConnectionError

    async def patient(number: int) -> None:
        with contextlib.suppress(TimeoutError):
            await one(number)

    await scene.at_once(400, patient)


async def slow_bodies(scene: Scene) -> None:
    """Bodies that are announced and come a byte a second, for each route that takes one."""

    async def one(number: int) -> None:
        method, path = BODIES[number % len(BODIES)]
        async with scene.connected() as (reader, writer):
            writer.write(scene.request(method, path, SDP, length=50_000))
            scene.tried["begun"] += 1
            answer = asyncio.ensure_future(scene.answered(reader, 200.0))
            try:
                while not scene.over and not answer.done():
                    writer.write(b"v")
                    await writer.drain()
                    await asyncio.wait([answer], timeout=1.0)
                if answer.done():
                    answer.result()
            finally:
                answer.cancel()

    await scene.at_once(400, one)


async def long_headers(scene: Scene) -> None:
    """As many and as long headers as are taken, and one without an end."""
    many = [f"X-{number}: {'x' * 7_000}" for number in range(120)]

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            writer.write(scene.request("GET", "healthz", *(many if number % 2 else ["X: " + "x" * 1_000_000])))
            await writer.drain()
            await scene.answered(reader)

    await scene.at_once(16, one)


async def pipelines(scene: Scene) -> None:
    """Thousands of requests in one piece, whose answers nobody reads."""
    piece = scene.request("GET", "healthz") * 5_000

    async def one(number: int) -> None:
        async with scene.connected() as (_, writer):
            while not scene.over:
                writer.write(piece)
                async with asyncio.timeout(scene.seconds):
                    await writer.drain()
                scene.tried["requests sent"] += 5_000

    await scene.at_once(16, one)


async def crumbs(scene: Scene) -> None:
    """Bodies in chunks of one byte, without end."""
    piece = b"1;x=y\r\nv\r\n" * 10_000

    async def one(number: int) -> None:
        method, path = BODIES[number % len(BODIES)]
        async with scene.connected() as (reader, writer):
            writer.write(scene.request(method, path, SDP, "Transfer-Encoding: chunked"))
            while not scene.over and not reader.at_eof():
                writer.write(piece)
                await writer.drain()
                scene.tried["chunks"] += 10_000

    await scene.at_once(12, one)


async def unwanted_bodies(scene: Scene) -> None:
    """Bodies that no route wants, as fast as they are taken."""
    piece = bytes(1 << 18)

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            writer.write(scene.request("POST", ("healthz", "session", "nowhere")[number % 3], length=1 << 34))
            while not scene.over and not reader.at_eof():
                writer.write(piece)
                await writer.drain()
                scene.tried["MB"] += 0.25  # type: ignore[assignment]

    await scene.at_once(12, one)


async def bombs(scene: Scene) -> None:
    """Bodies that were compressed a thousand times."""
    body = gzip.compress(bytes(50_000_000))

    async def one(number: int) -> None:
        method, path = BODIES[number % len(BODIES)]
        async with scene.connected() as (reader, writer):
            writer.write(
                scene.request(method, path, SDP, f"Content-Encoding: {('gzip', 'deflate')[number % 2]}", body=body)
            )
            await writer.drain()
            await scene.answered(reader)

    await scene.at_once(12, one)


async def asking(scene: Scene) -> None:
    """Every route that can be looked at, as fast as answers come."""
    looks = [path for method, path in ROUTES if method == "GET"]

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            writer.write(scene.request("GET", looks[Random().randrange(len(looks))], "Connection: close"))
            await scene.answered(reader)

    await scene.at_once(24, one)


async def figures(scene: Scene) -> None:
    """GET /metrics, whose answer is made anew each time."""

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            writer.write(scene.request("GET", "metrics", "Connection: close"))
            await scene.answered(reader)

    await scene.at_once(12, one)


async def backgrounds(scene: Scene) -> None:
    """Portraits, and offers that are none, each on another background (t16b)."""

    async def one(number: int) -> None:
        query = f"avatar=mina&background={Random().getrandbits(24):06x}"
        ways = (("POST", f"session?{query}", b"v=0"), ("GET", f"avatars/mina.png?{query}", b""))
        method, path, body = ways[number % 2]
        async with scene.connected() as (reader, writer):
            writer.write(scene.request(method, path, SDP, "Connection: close", body=body))
            await scene.answered(reader)

    await scene.at_once(24, one)


async def large_offers(scene: Scene) -> None:
    """Offers that take as long as an offer can to be read, and are refused at its end."""
    room = 990 - OFFER.count("\n")
    text = OFFER.rstrip() + "\r\n" + "".join(f"a=rtcp-fb:* nack {number}\r\n" for number in range(room))
    text = text.replace("a=ice-pwd", "a=ice-pwt")

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            writer.write(scene.request("POST", "session", SDP, "Connection: close", body=text.encode()))
            await scene.answered(reader)

    await scene.at_once(24, one)


async def half_open(scene: Scene) -> None:
    """Offers that never connect (t01 of places)."""

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            writer.write(
                scene.request("POST", ("session", "whip")[number % 2], SDP, "Connection: close", body=OFFER.encode())
            )
            await scene.answered(reader, 25.0)

    await scene.at_once(24, one)


async def guesses(scene: Scene) -> None:
    """Tokens that are none."""

    async def one(number: int) -> None:
        guess = Scene(scene.url, f"{Random().getrandbits(200):x}.x.y", scene.seconds)
        async with scene.connected() as (reader, writer):
            writer.write(guess.request("GET", "metrics", "Connection: close"))
            await scene.answered(reader)

    await scene.at_once(24, one)


async def photos(scene: Scene) -> None:
    """Pictures that are larger, or take longer, than their files say."""
    files = _bombs()

    async def one(number: int) -> None:
        async with scene.connected() as (reader, writer):
            body = files[number % len(files)]
            writer.write(
                scene.request("POST", "avatars?title=x", "Content-Type: image/png", "Connection: close", body=body)
            )
            await writer.drain()
            await scene.answered(reader, 90.0)

    await scene.at_once(len(files), one)


def _bombs() -> list[bytes]:
    found = []
    for size, kind in (((10_000, 10_000), "PNG"), ((60_000, 60), "PNG"), ((8_000, 8_000), "WEBP")):
        Image.new("RGB", size, (200, 150, 120)).save(file := io.BytesIO(), kind)
        found.append(file.getvalue())
    small = Image.new("RGB", (64, 64))
    small.save(
        file := io.BytesIO(),
        "GIF",
        save_all=True,
        append_images=[Image.new("RGB", (64, 64), (k, 0, 0)) for k in range(200)],
    )
    found.append(file.getvalue())
    small.save(file := io.BytesIO(), "PNG")
    text = b"iTXtx\0\1\0\0\0" + zlib.compress(bytes(80_000_000))  # RFC 2083, 4.2.3: text, compressed
    chunk = struct.pack("!L", len(text) - 4) + text + struct.pack("!L", zlib.crc32(text))
    found.append(file.getvalue()[:33] + chunk + file.getvalue()[33:])
    noise = np.random.default_rng(1).integers(0, 255, (1_000, 1_000, 3), np.uint8)
    Image.fromarray(noise).save(file := io.BytesIO(), "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    found.append(data[:last] + data[last:-2] * 40 + b"\xff\xd9")  # the last scan, again and again
    return found
