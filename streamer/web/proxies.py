"""Proxies in front of the server, and the address that others know it by.

A proxy names the client that it speaks for in X-Forwarded-For. Whoever is not known to be a proxy is not believed, or
every caller could choose its own address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.errors import ConfigError
from streamer.web.throttle import PROXY_HEADER

PLACES = ("Location", "Avatar-Watch")  # headers of answers
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies that are believed, beside those of this machine."""

    def __init__(self, networks: Iterable[str]) -> None:
        """networks: addresses, or networks such as 10.0.0.0/8. Raises ConfigError."""
        self._networks = [_network(text) for text in networks]

    def believes(self, address: str) -> bool:
        """Whether this is the address of one."""
        try:
            known = ipaddress.ip_address(address.split("%")[0])
        except ValueError:
            return False
        plain = getattr(known, "ipv4_mapped", None) or known
        return any(plain in network for network in self._networks)

    def client_of(self, remote: str, forwarded: str) -> str:
        """The last of those a request has passed that is no proxy of ours: the others' word is their own."""
        chain = [*(part.strip() for part in forwarded.split(",")), remote]
        return next((address for address in reversed(chain) if not self.believes(address)), chain[0])

    def middleware(self) -> Middleware:
        """Give each request the address of its client."""

        @web.middleware
        async def seen_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            forwarded = request.headers.get(PROXY_HEADER)
            if forwarded and self.believes(request.remote or ""):
                request = request.clone(remote=self.client_of(request.remote or "", forwarded))
            return await handler(request)

        return seen_through


class PublicAddress:
    """Where others find the server, through a proxy perhaps below a path; "" where that is not said."""

    def __init__(self, url: str | None) -> None:
        """`url`: with a scheme, a name and a path; a slash at its end."""
        parts = urlsplit(url or "")
        self.url = url or ""
        self.host = parts.netloc.lower()
        self.scheme = parts.scheme
        self.origin = f"{self.scheme}://{self.host}" if url else ""

    def names(self, request: web.Request) -> bool:
        """Whether whoever asks came by this address: a page's origin says so, else the name that was asked for."""
        if not self.url:
            return False
        return request.headers.get("Origin", f"{self.scheme}://{request.host}").lower() == self.origin

    def middleware(self) -> Middleware:
        """Let answers name places by it (`Location`, `Avatar-Watch`), for who came by it: it may have a path."""

        @web.middleware
        async def named(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            if response.status == 201 and self.names(request):
                for header in PLACES:
                    if (path := response.headers.get(header, "")).startswith("/"):
                        response.headers[header] = self.url + path[1:]
            return response

        return named


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigError(
            f"--trusted-proxy {text[:60]!r}; expected an address, or a network such as 10.0.0.0/8"
        ) from None
