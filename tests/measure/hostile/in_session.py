"""Attacks by somebody who may have a session, over its sockets and its call."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import struct
from collections.abc import Callable

from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_PLI, RtcpByePacket, RtcpPsfbPacket

from tests.measure.hostile.over_http import OFFER, SDP
from tests.measure.hostile.scene import Attack, Intruder, Scene, datagram_socket

OPUS = b"\xf8\xff\xfe"
HELLO = b'{"type": "hello", "version": 1}'
MASK = bytes(4)


def _frame(first: int, data: bytes = b"") -> bytes:
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
    return bytes([first]) + length + MASK + data


async def _sockets(
    scene: Scene,
    count: int,
    begin: bytes,
    piece: bytes,
    doors: tuple[str, ...] = ("control", "speech"),
) -> None:
    """Sockets of one session, to which a piece is sent without end."""
    async with scene.call() as intruder:

        async def one(number: int) -> None:
            key = base64.b64encode(os.urandom(16)).decode()
            upgrade = (
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {key}",
            )
            async with scene.connected() as (reader, writer):
                writer.write(scene.request("GET", f"{intruder.path}/{doors[number % len(doors)]}", *upgrade))
                await scene.answered(reader)
                writer.write(_frame(0x81, HELLO) + begin)
                reading = asyncio.ensure_future(_swallow(reader))
                try:
                    while not scene.over and not reading.done():
                        if piece:
                            writer.write(piece)
                            await writer.drain()
                            scene.tried["kB"] += len(piece) // 1000
                        else:
                            await asyncio.wait([reading], timeout=1.0)
                finally:
                    reading.cancel()
            await asyncio.sleep(0.2)

        await scene.at_once(count, one)


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


async def pings(scene: Scene) -> None:
    """Pings (RFC 6455, 5.5.2) as fast as they are taken."""
    await _sockets(scene, 4, b"", _frame(0x89) * 10_000)


async def pongs(scene: Scene) -> None:
    """Pongs that nobody asked for."""
    await _sockets(scene, 4, b"", _frame(0x8A) * 10_000)


async def fragments(scene: Scene) -> None:
    """One message in pieces of nothing, without end (RFC 6455, 5.4)."""
    await _sockets(scene, 4, _frame(0x01), _frame(0x00) * 10_000)


async def many_sockets(scene: Scene) -> None:
    """As many sockets of one session as are to be had."""
    await _sockets(scene, 300, b"", b"", doors=("control",))


async def viewers(scene: Scene) -> None:
    """Viewers that never connect."""
    async with scene.call() as intruder:
        watch = intruder.call.watch.lstrip("/")

        async def one(number: int) -> None:
            async with scene.connected() as (reader, writer):
                body = OFFER.replace("a=sendrecv", "a=recvonly").encode()
                writer.write(scene.request("POST", watch, SDP, "Connection: close", body=body))
                await scene.answered(reader, 25.0)

        await scene.at_once(24, one)


async def patches(scene: Scene) -> None:
    """Fragments of candidates, as many as are taken."""
    body = b"a=ice-ufrag:abcd\r\na=ice-pwd:" + b"x" * 24 + b"\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    body += b"a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n" * 900
    kind = "Content-Type: application/trickle-ice-sdpfrag"
    async with scene.call() as intruder:
        path = intruder.path.replace("session", "whip")

        async def one(number: int) -> None:
            async with scene.connected() as (reader, writer):
                writer.write(scene.request("PATCH", path, kind, "Connection: close", body=body))
                await scene.answered(reader)

        await scene.at_once(24, one)


async def hanging_up(scene: Scene) -> None:
    """Calls that are begun and ended at once."""
    while not scene.over:
        async with scene.call():
            scene.tried["calls"] += 1


def _media(intruder: Intruder, number: int, ssrc: int, payload: bytes) -> bytes:
    kind = next(packet[1] & 0x7F for packet in intruder.received if len(packet) < 200)
    return struct.pack("!BBHLL", 0x80, kind, number & 0xFFFF, number * 960 & 0xFFFFFFFF, ssrc) + payload


def _peer(packet: Callable[[Intruder, int], bytes], rate: float) -> Attack:
    async def attack(scene: Scene) -> None:
        while not scene.over:
            async with scene.call() as intruder:
                await asyncio.sleep(0.5)
                await intruder.flood(scene, lambda number: packet(intruder, number), rate)

    return attack


def _nack(intruder: Intruder, number: int) -> bytes:
    """All that was sent lately, again (t10)."""
    picture = next((packet for packet in reversed(intruder.received) if len(packet) > 100), intruder.received[-1])
    (last,) = struct.unpack("!H", picture[2:4])
    wanted = struct.pack("!HH", (last - 20) & 0xFFFF, 0xFFFF) * 290
    body = struct.pack("!L", 1) + picture[8:12] + wanted
    return struct.pack("!BBH", 0x81, 205, (len(body) + 4) // 4 - 1) + body


def _estimate(intruder: Intruder, number: int) -> bytes:
    """REMB: little and much by turns."""
    body = b"REMB" + (b"\x01\x00\x10\x00" if number % 2 else b"\x01\x3f\xff\xff") + intruder.received[0][8:12]
    return bytes(RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, body))


PEERS = {
    "ssrcs": _peer(lambda own, number: _media(own, number, number + 1_000, OPUS), 1_500),  # t15
    "nacks": _peer(_nack, 50),
    "keyframes": _peer(
        lambda own, number: bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, 1, struct.unpack("!L", own.received[0][8:12])[0])),
        1_000,
    ),
    "estimates": _peer(_estimate, 1_000),
    "fast sound": _peer(lambda own, number: _media(own, number, 7, b"\xfb\x06" + b"\xff\xfe" * 6), 1_000),
    "goodbyes": _peer(lambda own, number: bytes(RtcpByePacket([7])), 500),
    "rubbish in SRTP": _peer(
        lambda own, number: bytes([0x80 | number % 64, number % 256]) + os.urandom(12 + number % 1_200), 1_000
    ),
}


async def datagrams(scene: Scene) -> None:
    """Checks (STUN), handshakes (DTLS), media and rubbish to a session's ports, from addresses of their own."""
    async with scene.call() as intruder:
        answer = intruder.call._peer.remoteDescription.sdp
        host = scene.address[0].replace("localhost", "127.0.0.1")
        ports = [int(port) for _, port in re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+)", answer)]
        kinds = (
            b"\0\1\0\0\x21\x12\xa4\x42" + os.urandom(12),  # a check without credentials
            b"\x16\xfe\xff\0\0\0\0\0\0\0\0\x04\xb0" + os.urandom(1_200),  # a handshake's first record
            b"\x80\x6f" + os.urandom(150),
            os.urandom(60_000)[:8_000],
        )
        sockets = [datagram_socket((host, port)) for port in ports for _ in range(8)]
        number = 0
        while not scene.over:
            for each in sockets:
                try:
                    each.send(kinds[number % len(kinds)])
                    number += 1
                except (OSError, BlockingIOError, ConnectionError):
                    scene.tried["not sent"] += 1
            await asyncio.sleep(len(sockets) / 4_000)
        scene.tried["datagrams"] = number
        for each in sockets:
            each.close()
