"""Trusted proxies in front of the server, and the server's public address.

A proxy names its client in X-Forwarded-For. The header is trusted only from known proxies; otherwise every caller could
choose its own address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.errors import ConfigError
from streamer.web.throttle import PROXY_HEADER

PLACES = ("Location", "Avatar-Watch")  # response headers that hold an address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The trusted proxies, in addition to those on this machine."""

    def __init__(self, networks: Iterable[str]) -> None:
        """networks: addresses, or networks such as 10.0.0.0/8. Raises ConfigError."""
        self._networks = [_network(text) for text in networks]

    def believes(self, address: str) -> bool:
        """Return whether this is the address of a trusted proxy."""
        try:
            known = ipaddress.ip_address(address.split("%")[0])
        except ValueError:
            return False
        plain = getattr(known, "ipv4_mapped", None) or known
        return any(plain in network for network in self._networks)

    def client_of(self, remote: str, forwarded: str) -> str:
        """Return the client's address: the last hop that is not a trusted proxy; earlier hops cannot be trusted."""
        chain = [*(part.strip() for part in forwarded.split(",")), remote]
        return next((address for address in reversed(chain) if not self.believes(address)), chain[0])

    def middleware(self) -> Middleware:
        """Return middleware that replaces a proxy's address by its client's in each request."""

        @web.middleware
        async def seen_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            forwarded = request.headers.get(PROXY_HEADER)
            if forwarded and self.believes(request.remote or ""):
                request = request.clone(remote=self.client_of(request.remote or "", forwarded))
            return await handler(request)

        return seen_through


class PublicAddress:
    """The server's public URL, for example behind a proxy and below a path; "" if not configured."""

    def __init__(self, url: str | None) -> None:
        """url: scheme, host and path, ending in a slash."""
        parts = urlsplit(url or "")
        self.url = url or ""
        self.host = parts.netloc.lower()
        self.scheme = parts.scheme
        self.origin = f"{self.scheme}://{self.host}" if url else ""

    def names(self, request: web.Request) -> bool:
        """Return whether the request used this address, judged by its Origin, or by its Host if it has no Origin."""
        if not self.url:
            return False
        return request.headers.get("Origin", f"{self.scheme}://{request.host}").lower() == self.origin

    def middleware(self) -> Middleware:
        """Return middleware that makes `Location` and `Avatar-Watch` absolute for requests by the public address."""

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
