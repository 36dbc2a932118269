"""Cross-origin access (CORS) for the sites that the operator allows with `--allow-origin`.

This protects against pages in browsers only: a browser sends the page's origin, which the page cannot change.
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
    """Normalize an origin to the form that browsers send. Raises ConfigError."""
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
    """The other sites whose pages may use the server."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """Raises ConfigError."""
        self._allowed = frozenset(map(read_origin, allowed))

    def trusts(self, request: web.Request) -> bool:
        """Return whether a request comes from a page of an allowed site."""
        return request.headers.get("Origin", "").lower() in self._allowed

    def preflight(self, request: web.Request) -> web.Response | None:
        """Return the response to a CORS preflight request (Fetch standard); None for other requests."""
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
        """Return the headers that let the page read the response."""
        return {
            "Access-Control-Allow-Origin": request.headers["Origin"],
            "Access-Control-Expose-Headers": EXPOSED,
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
