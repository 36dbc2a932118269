"""Client side of a session over WebRTC, from offer to hang-up, for programs; the counterpart of `session`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from streamer.core.errors import SessionError
from streamer.webrtc.alpha import LAYOUT
from streamer.webrtc.private_parts import transports_of

REQUEST_S = 20.0
MOST_ANSWER = 64 * 1024  # bytes of an SDP answer or a refusal
LONGEST_REASON = 160  # characters of a quoted remote message
SDP = "application/sdp"
DELAY_HEADER = "Avatar-Delay"
VIDEO_HEADER = "Avatar-Video"
WATCH_HEADER = "Avatar-Watch"
HANG_UP_S = 2.0  # timeout for ending the session at the server

Take = Callable[[MediaStreamTrack], Coroutine[Any, Any, None]]


class RefusedError(SessionError):
    """The server refuses the call. `retry_s`: seconds to wait before a retry; None if a retry is useless."""

    def __init__(self, status: int, text: str, retry_after: str | None) -> None:
        super().__init__(f"{status}: {shown(text)}")
        self.retry_s: float | None = None
        if status >= 500 or status == 429:
            self.retry_s = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


class Call:
    """A session with the server at `url` (which ends with a slash), open inside `async with`.

    microphone: the track to send; None for a session with pushed speech.
    take: reads a received track until it ends or is cancelled. token: for a server that requires one.
    """

    def __init__(
        self, url: str, query: str, microphone: MediaStreamTrack | None, take: Take, token: str | None = None
    ) -> None:
        self.location = ""
        self.watch = ""  # path at which others can watch the session
        self.matte = False  # pictures are twice as wide: colour left, opacity right
        self.delay_ms = 0  # from a sample's arrival at the server to its playout there
        self.ended = asyncio.Event()  # the connection has been closed, or has failed
        self._url, self._query, self._take = url, query, take
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_S), headers=bearer(token))
        self._readers: list[asyncio.Task[None]] = []
        if microphone is None:
            self.audio = self._peer.addTransceiver("audio", "recvonly")
        else:
            self.audio = self._peer.addTransceiver(microphone, "sendrecv")
        self.video = self._peer.addTransceiver("video", "recvonly")
        self._peer.on("track", self._on_track)
        self._peer.on("connectionstatechange", self._on_connection_state)

    async def __aenter__(self) -> Call:
        """Set up the session.

        Raises:
            RefusedError: the server refuses; the message quotes its reason.
            SessionError: the server cannot be reached, or its answer is invalid.
        """
        try:
            await self._peer.setLocalDescription(await self._peer.createOffer())
            answer = await self._post(self._peer.localDescription.sdp)
            try:
                await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            except Exception as error:  # aiortc raises many kinds of exception on an unexpected answer
                raise SessionError(f"{self._url}: its answer cannot be used ({shown(str(error))})") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(HANG_UP_S):
                await (await self._http.delete(self.location)).release()
        await self._close()

    async def vanish(self) -> None:
        """Stop sending without a hang-up, like a machine that loses its network."""
        for reader in self._readers:
            reader.cancel()
        for transport in transports_of(self._peer):
            transport.replace_send(lambda send: _nothing)
            await transport.drop_network()
        await self._http.close()

    async def _post(self, offer: str) -> str:
        address, headers = urljoin(self._url, f"session?{self._query}"), {"Content-Type": SDP}
        with reaching(self._url):
            async with self._http.post(address, data=offer, headers=headers) as response:
                text = (await read_at_most(response, MOST_ANSWER)).decode(errors="replace")
                if response.status != 201:
                    raise RefusedError(response.status, text, response.headers.get("Retry-After"))
                if response.content_type != SDP or "Location" not in response.headers:
                    raise SessionError(f"{self._url}: not a server of avatars; it answers {response.content_type[:40]}")
                self.location = urljoin(self._url, response.headers["Location"])
                self.watch = response.headers.get(WATCH_HEADER, "")
                delay = response.headers.get(DELAY_HEADER, "0")
                self.delay_ms = int(delay) if delay.isdecimal() and len(delay) < 6 else 0
                self.matte = response.headers.get(VIDEO_HEADER) == LAYOUT
                return text

    async def _close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._peer.close()
        await self._http.close()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._readers.append(asyncio.create_task(self._read(track)))

    async def _read(self, track: MediaStreamTrack) -> None:
        try:
            await self._take(track)
        finally:
            self.ended.set()  # the server has ended the track

    def _on_connection_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self.ended.set()


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that carries a token (RFC 6750)."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def _nothing(data: bytes) -> None:
    """Replace sending: drop the packet."""


async def read_at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return a response's body. Raises SessionError if it is longer than `most` bytes."""
    body = bytearray()
    async for part in response.content.iter_chunked(16 * 1024):
        body += part
        if len(body) > most:
            raise SessionError(f"{response.url}: more than {most} bytes")
    return bytes(body)


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Convert network errors of the block, for the server at `url`, to a one-line SessionError."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        raise SessionError(f"{url}: its certificate is not to be trusted ({shown(reason)})") from None
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise SessionError(f"{url}: no encrypted connection ({shown(str(error))}); is it http and not https?") from None
    except aiohttp.ClientConnectorDNSError:
        raise SessionError(f"{url}: no such host") from None
    except TimeoutError:
        raise SessionError(f"{url}: no answer within {REQUEST_S:.0f} s") from None
    except aiohttp.InvalidURL:
        raise SessionError(f"{url}: not an address; expected one such as http://localhost:8080") from None
    except (aiohttp.ClientError, OSError) as error:
        number = getattr(getattr(error, "os_error", error), "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error) or type(error).__name__
        raise SessionError(f"{url}: cannot be reached ({shown(reason)})") from None


def shown(text: str) -> str:
    """Return remote text as one line for an error, without terminal control characters."""
    words = " ".join(text[: 4 * LONGEST_REASON].split())
    return "".join(letter for letter in words if letter.isprintable())[:LONGEST_REASON]
