"""`avatar camera --server URL`: fetches the portrait from the server, then runs the session."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
import cv2
import numpy as np

from streamer.avatar.background import BLUR, TRANSPARENT, colour_of
from streamer.core import pictures
from streamer.core.aio import SWITCH_INTERVAL_S, MonotonicClock, until_first
from streamer.core.console import say
from streamer.core.errors import BundleError, SessionError
from streamer.core.frames import ByteArray
from streamer.core.options import PLAIN_FACE, FaceOptions
from streamer.core.system.signals import stop_event
from streamer.desktop.ends import Ends
from streamer.desktop.presenter import Note
from streamer.desktop.remote_session import LARGEST_SIDE, RemoteOptions, RemoteSession
from streamer.desktop.sources import NoMicrophone
from streamer.session.ends import PictureSink, SoundSink, SoundSource
from streamer.stages import face_options
from streamer.web.listen import is_loopback
from streamer.webrtc.call import REQUEST_S, Call, bearer, reaching, read_at_most, shown
from streamer.webrtc.ice import LOOPBACK, offer_only

MOST_LISTING = 256 * 1024  # bytes
MOST_PICTURE = 16 * 1024 * 1024
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
BLURRED = 8  # the blur's sigma is the picture's height divided by this: the face cannot be recognised
WARM_UP_S = 2.0  # between checks whether the server's engines are ready

# Runs a conversation from a source to sinks.
Hold = Callable[[SoundSource, Ends], Coroutine[None, None, None]]


@dataclass(frozen=True)
class ServerChoice:
    """Server (`url` ends with a slash), avatar and face options. None: the server's default."""

    url: str
    avatar: str | None = None
    lookahead_ms: int | None = None
    face: FaceOptions = PLAIN_FACE
    token: str | None = field(default=None, repr=False)

    def query(self, name: str, microphone: bool) -> str:
        """Return the query string of POST /session."""
        chosen = {"avatar": name, **face_options.to_query(self.face)}
        if self.lookahead_ms is not None:
            chosen["lookahead"] = str(self.lookahead_ms)
        if not microphone:
            chosen["speech"] = "1"
        return urlencode(chosen)


@dataclass(frozen=True, eq=False)
class ServersPortrait:
    """An avatar of a server; `still` is uint8 [H, W, 3] RGB."""

    name: str
    title: str
    still: ByteArray


async def portrait(choice: ServerChoice, note: Note) -> ServersPortrait:
    """Fetch the name, title and portrait of the chosen avatar; wait while the server's engines warm up.

    Raises:
        SessionError: the address is not that of an avatar server, or it cannot be reached.
        BundleError: the server has no such avatar.
    """
    timeout, headers = aiohttp.ClientTimeout(total=REQUEST_S), bearer(choice.token)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
        listing, told = await _fetch(http, choice.url, "avatars", MOST_LISTING), False
        while listing is None:
            if not told:
                note(f"{choice.url}: its engines are not ready yet; waiting for them")
            told = True
            await asyncio.sleep(WARM_UP_S)
            listing = await _fetch(http, choice.url, "avatars", MOST_LISTING)
        name, title = _chosen(choice, listing)
        if json.loads(listing).get("recorded") is True:
            note(f"{choice.url} records what is said to it")
        png = await _fetch(http, choice.url, f"avatars/{quote(name, safe='')}.png", MOST_PICTURE)
    return ServersPortrait(name, title, _picture(choice.url, png or b""))


def prepared(choice: ServerChoice, note: Note) -> Hold:
    """Fetch the portrait; return the function that runs a conversation with the server.

    Raises AvatarError, as `portrait`.
    """
    face = asyncio.run(portrait(choice, note))

    def hold(source: SoundSource, ends: Ends) -> Coroutine[None, None, None]:
        def begin(session: RemoteSession) -> None:
            ends.begin(session.playout_ms)

        return converse(choice, face, source, ends.pictures, ends.sound, note, begin)

    return hold


async def converse(
    choice: ServerChoice,
    face: ServersPortrait,
    source: SoundSource,
    pictures: PictureSink,
    sound: SoundSink | None,
    note: Note,
    watch: Callable[[RemoteSession], None] = lambda session: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Talk until the source ends or the program is stopped. `watch` is called with the session.

    Raises:
        SessionError: the server refuses the session.
        MediaError: the source is a file that cannot be decoded.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    offer_only(LOOPBACK if is_loopback(urlsplit(choice.url).hostname or "") else None)
    microphone = not isinstance(source, NoMicrophone)
    before = ground(face.still, choice.face.background)
    options = RemoteOptions(choice.url, choice.query(face.name, microphone), before, microphone, choice.token)
    calls = 0

    def called(call: Call) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            after = f"{session.delay_ms} ms and the network's time after it"
            say(f"avatar: {face.title} speaks with the sound of {source.name}, {after}; Ctrl-C ends")
        if not microphone:
            say(f"avatar: speech is taken at ws{call.location.removeprefix('http')}/speech")

    session = RemoteSession(options, MonotonicClock(), pictures, sound, note, called)
    watch(session)
    try:
        await until_first(session.run(source), (stop or stop_event()).wait())
    finally:
        count, late = session.stats.shown, session.stats.repeated
        say(f"avatar: {count} pictures, {late} of them the one before, again")


def ground(still: ByteArray, background: str | None) -> ByteArray:
    """Return the still to show before the server's first picture.

    It is the blurred portrait, the plain or transparent background alone, or the portrait if no background is set.
    """
    if background is None:
        return still
    if background == BLUR:
        return np.asarray(cv2.GaussianBlur(still, (0, 0), still.shape[0] / BLURRED), np.uint8)
    if background == TRANSPARENT:
        return np.zeros((*still.shape[:2], 4), np.uint8)
    return np.broadcast_to(np.array(colour_of(background), np.uint8), still.shape).copy()


async def _fetch(http: aiohttp.ClientSession, url: str, path: str, most: int) -> bytes | None:
    """Return the server's answer, or None while its engines are not ready. Raises SessionError."""
    with reaching(url):
        async with http.get(urljoin(url, path)) as response:
            if response.status == 503:
                return None
            if response.status in (401, 403):
                words = shown((await read_at_most(response, MOST_LISTING)).decode(errors="replace"))
                raise SessionError(f"{url}: {words}; give it with --token")
            if response.status != 200:
                raise SessionError(f"{url}: not a server of avatars; it answers {response.status} to {path}")
            return await read_at_most(response, most)


def _chosen(choice: ServerChoice, listing: bytes) -> tuple[str, str]:
    """Return the name and title of the chosen avatar. Raises SessionError or BundleError."""
    try:
        avatars: list[dict[str, Any]] = json.loads(listing)["avatars"]
        titles = {str(avatar["name"]): str(avatar["title"]) for avatar in avatars}
        default = next(str(avatar["name"]) for avatar in avatars if avatar["default"])
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        raise SessionError(f"{choice.url}: not a server of avatars; it has no list of them") from None
    name = choice.avatar or default
    if name not in titles:
        raise BundleError(f"{choice.url}: no avatar {name[:40]!r}; there are {shown(', '.join(titles))}")
    return name, shown(titles[name])


def _picture(url: str, png: bytes) -> ByteArray:
    """Decode a PNG to uint8 [H, W, 3] RGB; check its size first. Raises SessionError."""
    sides = [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)]
    if png.startswith(PNG_HEAD) and all(0 < side <= LARGEST_SIDE for side in sides):
        picture = pictures.decode(png)
        if picture is not None:
            return picture
    raise SessionError(f"{url}: its avatar's picture cannot be read")
