"""Pages of other sites that an operator lets use the server (`--allow-origin`), by CORS.

What is said here holds for browsers: they tell a page's origin, which no page can alter.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from streamer.core.errors import ConfigError

EXPOSED = "Location, Retry-After, ETag, Link, Avatar-Delay, Avatar-Video, Avatar-Watch, Avatar-Faces, Avatar-Place"
METHODS = "GET, POST, PATCH, DELETE"
REQUEST_HEADERS = "Content-Type, Authorization"
REMEMBERED_S = "600"


def read_origin(text: str) -> str:
    """An origin as browsers tell it. Raises ConfigError."""
    try:
        parts = urlsplit(text.strip().lower())
        found = f"{parts.scheme}://{parts.netloc}"
        port = parts.port
    except ValueError:
        found, parts, port = "", urlsplit(""), None
    plain = parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.path in ("", "/")
    if not plain or parts.query or parts.fragment:
        raise ConfigError(f"--allow-origin {text[:60]!r}; expected a site such as https://www.example.com")
    usual = {"http": 80, "https": 443}[parts.scheme]
    return found.removesuffix(f":{usual}") if port == usual else found


class Origins:
    """The sites whose pages may use the server, beside its own."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """Raises ConfigError."""
        self._allowed = frozenset(map(read_origin, allowed))

    def trusts(self, request: web.Request) -> bool:
        """Whether a request comes from a page of one of them."""
        return request.headers.get("Origin", "").lower() in self._allowed

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks beforehand (Fetch standard, CORS-preflight), None for other requests."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        headers = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": REMEMBERED_S,
        }
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    def headers(self, request: web.Request) -> dict[str, str]:
        """What lets the page read the answer."""
        return {
            "Access-Control-Allow-Origin": request.headers["Origin"],
            "Access-Control-Expose-Headers": EXPOSED,
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
