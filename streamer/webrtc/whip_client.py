"""WHIP client (RFC 9725): publishes media to a media server.

The offer contains all candidates, so trickle ICE and the session's ETag are not needed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from types import TracebackType
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiortc import RTCIceServer

from streamer.core.errors import SessionError
from streamer.webrtc.call import MOST_ANSWER, REQUEST_S, SDP, RefusedError, bearer, reaching, read_at_most

MOST_REDIRECTS = 5
REDIRECTS = (307, 308)  # section 4.5: redirects that keep the method
MOST_ICE_SERVERS = 8
_LINK = re.compile(r"<((?:stun|turn)s?:[^>\s]{1,300})>((?:\s*;\s*[\w-]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))*)")
_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))")


class WhipClient:
    """One publication; it ends when the `async with` block ends.

    ice_servers: named in the server's answer; usable only in the next attempt, as the offer already has its candidates.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self.ice_servers: list[RTCIceServer] = []
        self._url = url
        self._location: str | None = None
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        self._http = aiohttp.ClientSession(timeout=timeout, headers=bearer(token))

    async def publish(self, offer: str) -> str:
        """Send the offer; return the answer.

        The token is also sent to the target of a redirect, which is another machine of the same service, but a redirect
        from https to http is refused.

        Raises:
            RefusedError: the server refuses; the message quotes its reason.
            SessionError: the server cannot be reached, or its answer is not WHIP.
        """
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            with reaching(url):
                headers = {"Content-Type": SDP}
                async with self._http.post(url, data=offer, headers=headers, allow_redirects=False) as response:
                    if response.status not in REDIRECTS:
                        return await self._answer(url, response)
                    url = _redirected(url, response.headers.get("Location", ""))
        raise SessionError(f"{self._url}: more than {MOST_REDIRECTS} redirections")

    async def _answer(self, url: str, response: aiohttp.ClientResponse) -> str:
        text = (await read_at_most(response, MOST_ANSWER)).decode(errors="replace")
        if response.status != 201:
            raise RefusedError(response.status, text, response.headers.get("Retry-After"))
        if response.content_type != SDP or "Location" not in response.headers:
            raise SessionError(f"{url}: not a WHIP endpoint: expected {SDP} and a Location with its 201")
        self._location = urljoin(url, response.headers["Location"])
        self.ice_servers = ice_servers(response.headers.getall("Link", []))
        return text

    async def __aenter__(self) -> WhipClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._location is not None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._http.delete(self._location, timeout=aiohttp.ClientTimeout(total=2.0)):
                    pass
        await self._http.close()


def ice_servers(links: Sequence[str]) -> list[RTCIceServer]:
    """Return the STUN and TURN servers in Link headers (section 4.6)."""
    found = []
    for url, rest in _LINK.findall(",".join(links)):
        parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        if parameters.get("rel") == "ice-server" and parameters.get("credential-type", "password") == "password":
            found.append(RTCIceServer([url], parameters.get("username"), parameters.get("credential")))
    return found[:MOST_ICE_SERVERS]


def _redirected(url: str, location: str) -> str:
    """Return the target of a redirect. Raises SessionError if it is invalid or drops encryption."""
    led = urljoin(url, location)
    parts = urlsplit(led)
    if not location or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SessionError(f"{url}: redirects nowhere")
    if urlsplit(url).scheme == "https" and parts.scheme != "https":
        raise SessionError(f"{url}: redirects to an address without encryption, which is not followed")
    return led
