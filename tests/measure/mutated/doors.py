"""What is sent to each door. A knock sends one or more mutated cases and returns how many were tried, by answer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import aiohttp
import numpy as np
from PIL import Image

from streamer.server.assets import ASSETS
from streamer.server.routes.operations import SESSION_QUERY
from streamer.server.routes.scopes import SCOPES
from tests import ROOT
from tests.measure.mutated.exchange import PATIENCE_S, Answer, Target, ask, request_bytes, send
from tests.measure.mutated.mutator import WORDS, Mutator

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
OFFERS = tuple(path.read_text() for path in sorted((ROOT / "tests/data/offers").glob("*.sdp")))
TRICKLED = "a=ice-ufrag:abcd\r\na=ice-pwd:" + "x" * 24 + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" + (
    "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n"
)  # fmt: skip
USUAL = {"size": "256", "energy": "1", "emotion": "happy", "yaw": "5", "background": "0000ff", "lookahead": "200"}
SPEECH = ({"type": "begin", "sample_rate": 24_000}, {"type": "begin", "format": "opus"}, {"type": "end"},
          {"type": "clear"}, {"type": "hello", "version": 1})  # fmt: skip
CONTROL = (
    {"type": "emotion", "value": "happy", "intensity": 1}, {"type": "energy", "value": 1.5},
    {"type": "gaze", "at": [0.5, 0.2]}, {"type": "gesture", "name": "nod", "strength": 0.7},
    {"type": "avatar", "name": "dot"}, {"type": "size", "value": 256}, {"type": "pause", "on": False},
    {"type": "mute", "on": False}, {"type": "listening", "on": False}, {"type": "background", "value": "0000ff"},
    {"type": "interrupt"},
)  # fmt: skip
HELLO = '{"type": "hello", "version": 1}'
NOT_TRIED = (404, 409, 429, 503)  # of sockets: the session is gone, another speaks, too fast, no room
MESSAGES = 24  # to one socket, which closes after 16 mistakes
SOUND = (np.sin(np.arange(960) / 9) * 9_000).astype("<i2").tobytes()
OPUS = b"\xf8\xff\xfe"
INCOMPLETE_S = 2.0  # a server waits longer for the rest of a request

Knock = Callable[[Target, Mutator], Awaitable[Counter[str]]]


@dataclass(frozen=True)
class Door:
    """at_once: knocks beside each other."""

    name: str
    knock: Knock
    at_once: int = 8


def _told(answer: Answer) -> Counter[str]:
    return Counter({"turned away" if answer.turned_away else str(answer.status or "closed"): 1})


async def http(target: Target, mutator: Mutator) -> Counter[str]:
    """The bytes of a request: its line, headers, lengths, chunks."""
    random = mutator.random
    method, path = random.choice([route for route in SCOPES if route[1] not in ASSETS])
    chunked = b"4\r\nv=0\n\r\n0\r\n\r\n"
    body, headers = random.choice(((b"", {}), (b"v=0\r\n", {"Content-Type": SDP})))
    data = request_bytes(method, path.lstrip("/"), target.headers(random) | headers, body)
    if random.random() < 0.2:
        data = data.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX-Length") + chunked
    try:
        return _told(await send(target, mutator.bytes(data), INCOMPLETE_S))
    except TimeoutError:
        return Counter({"incomplete": 1})


async def routes(target: Target, mutator: Mutator) -> Counter[str]:
    """Paths, queries, headers and small bodies of all routes."""
    random = mutator.random
    method, path = random.choice(list(SCOPES))
    own = "other" if method == "DELETE" else target.session.rpartition("/")[2]
    names = ("nobody", own, "dot", quote(mutator.text("mina"), safe=""))
    for part in ("{token}", "{name}", "{watch}", "{viewer}"):
        path = path.replace(part, random.choice(names))
    query = {name: value if random.random() < 0.5 else mutator.text(value) for name, value in USUAL.items()}
    query = {name: query.get(name, random.choice(WORDS)) for name in random.sample(list(SESSION_QUERY), 4)}
    path = f"{path.lstrip('/')}?{urlencode({**query, 'title': random.choice(WORDS), 'language': random.choice(WORDS)})}"
    names_of = ("Content-Type", "Origin", "Range", "If-None-Match", "X-Forwarded-For", "Accept", "Sec-Fetch-Site")
    headers = {random.choice(names_of): _line(mutator.text(SDP))}
    if target.tokens and random.random() < 0.01:
        headers["Authorization"] = _line(mutator.text(f"Bearer {target.tokens[0]}"))
    body = mutator.text("Good morning.").encode() if method in ("POST", "PATCH") else b""
    return _told(await ask(target, random, method, path, body, **headers))


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


async def offers(target: Target, mutator: Mutator) -> Counter[str]:
    """SDP for a session; one that is answered is ended."""
    return await _offered(target, mutator, "session")


async def publishing(target: Target, mutator: Mutator) -> Counter[str]:
    """WHIP: SDP, and fragments of it."""
    return await _offered(target, mutator, "whip")


async def watching(target: Target, mutator: Mutator) -> Counter[str]:
    """WHEP: SDP, and fragments of it."""
    return await _offered(target, mutator, target.watch)


async def _offered(target: Target, mutator: Mutator, path: str) -> Counter[str]:
    random = mutator.random
    offer = random.choice(OFFERS)
    if path.startswith("whep"):
        offer = offer.replace("a=sendrecv", "a=recvonly")
    body = mutator.lines(offer).encode()
    if random.random() < 0.15:
        body = mutator.bytes(body)
    query = "" if random.random() < 0.8 or path.startswith("whep") else f"?{urlencode(_query(mutator))}"
    answer = await ask(target, random, "POST", path + query, body, Content_Type=SDP)
    if answer.status == 404 and path.startswith("whep"):
        return Counter({"turned away": 1})  # the session is gone
    tried = _told(answer)
    if answer.place:
        if not answer.place.startswith("session"):
            fragment = mutator.lines(TRICKLED).encode()
            tried += _told(await ask(target, random, "PATCH", answer.place, fragment, Content_Type=FRAGMENT))
        await ask(target, random, "DELETE", answer.place)
    return tried


def _query(mutator: Mutator) -> dict[str, str]:
    name = mutator.random.choice(list(USUAL))
    return USUAL | {name: mutator.text(USUAL[name])}


async def speech(target: Target, mutator: Mutator) -> Counter[str]:
    """Messages to a speech socket, of which there is one."""
    return await _said(target, mutator, "speech", lambda: _speech(mutator))


async def control(target: Target, mutator: Mutator) -> Counter[str]:
    """Messages to a control socket."""
    return await _said(target, mutator, "control", lambda: mutator.json(mutator.random.choice(CONTROL)))


def _speech(mutator: Mutator) -> str | bytes:
    random = mutator.random
    if random.random() < 0.5:
        return mutator.json(random.choice(SPEECH)) if random.random() < 0.6 else '{"type": "begin", "format": "opus"}'
    return mutator.bytes(random.choice((SOUND, OPUS, OPUS + random.randbytes(200))))


async def _said(target: Target, mutator: Mutator, door: str, message: Callable[[], str | bytes]) -> Counter[str]:
    tried: Counter[str] = Counter()
    url, headers = f"{target.url}{target.session}/{door}", target.headers(mutator.random)
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            aiohttp.ClientSession(headers=headers) as http,
            http.ws_connect(url) as socket,
        ):
            with contextlib.suppress(aiohttp.ClientConnectionResetError):  # it has heard enough
                await socket.send_str(HELLO)
                for _ in range(MESSAGES):
                    said = message()
                    await (socket.send_str(said) if isinstance(said, str) else socket.send_bytes(said))
                    tried["messages"] += 1
            await socket.close()  # waits until all is read
    except aiohttp.WSServerHandshakeError as error:
        return Counter({"turned away" if error.status in NOT_TRIED else str(error.status): 1})
    return tried


async def frames(target: Target, mutator: Mutator) -> Counter[str]:
    """The bytes of WebSocket frames (RFC 6455, 5.2), after an upgrade as it should be."""
    random = mutator.random
    door = random.choice(("control", "control", "control", "speech"))
    headers = target.headers(random) | {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(random.randbytes(16)).decode(),
    }  # fmt: skip
    kinds = ((1, HELLO.encode()), (2, SOUND), (9, b"ping"), (8, struct.pack("!H", 1000)), (0, b"more"))
    sent = b"".join(_frame(*random.choice(kinds), random.randbytes(4)) for _ in range(4))
    upgrade = request_bytes("GET", f"{target.session}/{door}", headers)
    answer = await send(target, upgrade + _frame(1, HELLO.encode(), b"mask") + mutator.bytes(sent))
    return Counter({"turned away": 1}) if answer.status in NOT_TRIED else _told(answer)


def _frame(kind: int, data: bytes, mask: bytes) -> bytes:
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
    covered = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    return bytes([0x80 | kind]) + length + mask + covered


async def photos(target: Target, mutator: Mutator) -> Counter[str]:
    """Files of pictures; what an avatar is made of is removed."""
    random = mutator.random
    data = mutated_picture(mutator)
    answer = await ask(target, random, "POST", "avatars?title=x", data, Content_Type="image/jpeg")
    return _told(answer)


def mutated_picture(mutator: Mutator) -> bytes:
    """The bytes of a picture of some format, some of which are altered."""
    return mutator.bytes(mutator.random.choice(PICTURES), most=8)


def _pictures() -> tuple[bytes, ...]:
    gradient = np.add.outer(np.arange(96), np.arange(96)).astype(np.uint8)
    image, found = Image.fromarray(np.dstack([gradient, gradient.T[::-1], gradient * 3])), []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        image.save(file := io.BytesIO(), kind)
        found.append(file.getvalue())
    return (*found, (ROOT / "tests/data/display-p3.heic").read_bytes())


PICTURES = _pictures()

DOORS: Mapping[str, Door] = {
    door.name: door
    for door in (
        Door("http", http, 32), Door("routes", routes), Door("offers", offers), Door("whip", publishing),
        Door("whep", watching), Door("speech", speech, 1), Door("control", control), Door("frames", frames),
    )
}  # fmt: skip
PHOTOS = Door("photos", photos, 1)
