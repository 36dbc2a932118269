"""Keep other web sites away from a server that trusts every client that can reach it.

A page of any site can send requests to localhost from the visitor's browser. Three checks, before anything is read:

- Host: a server on loopback answers to loopback names only, so a foreign name that was made to resolve to 127.0.0.1
  (DNS rebinding) gets nothing.
- Sec-Fetch-Site: what pages of other sites load from here is refused before any work is done. They could not read it,
  but a page full of images would keep this machine busy. Links of other sites work.
- Origin: what changes something must come from a page of this server, or from a program, which sends no Origin. So
  must a WebSocket, which a page of any site may otherwise open.

Sites that the operator names (`origins`) pass the last two.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.web.listen import is_loopback
from streamer.web.origins import Origins
from streamer.web.proxies import PublicAddress

LOCAL_ONLY = "this server answers to localhost only"
LOCAL_WAY = "for other names, and behind a proxy, start it with --host 0.0.0.0 or an address (docs/proxy.md)"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = "Content-Security-Policy"
HEADERS = {
    POLICY: (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# OBS puts a source's Custom CSS into the page as a style element; images that it names stay this server's own.
OVERLAY_HEADERS = HEADERS | {POLICY: HEADERS[POLICY].replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")}


def host_allowed(listening_on: str, host_header: str) -> bool:
    """Whether a request with this Host header is meant for a server on `listening_on`."""
    if not is_loopback(listening_on):
        return True  # it may be known by any name of the network
    try:
        name = urlsplit(f"//{host_header}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def origin_allowed(origin: str | None, host_header: str, site: str | None = None) -> bool:
    """Whether a request that changes something may come from a page of `origin` (None: not from a page).

    site: the browser's own word (Sec-Fetch-Site), which no page can alter: a proxy may have asked us by another name.
    """
    if origin is None or site == "same-origin":
        return True
    try:
        return urlsplit(origin).netloc.lower() == host_header.lower() != ""
    except ValueError:
        return False


def site_allowed(site: str | None, mode: str | None) -> bool:
    """Whether a browser may fetch this for a page of such a site (None: no browser that tells)."""
    return site in (None, "same-origin", "none") or mode == "navigate"


def guard(
    listening_on: str, overlay: str | None = None, origins: Origins | None = None, public: PublicAddress | None = None
) -> Middleware:
    """The checks as middleware; it also puts the security headers on every answer.

    overlay: path of the page that lies over a scene in OBS, and may be styled there.
    origins: other sites, whose pages are treated as the server's own. public: the address that others know it by.
    """
    others, known = origins or Origins(), public or PublicAddress(None)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what passes the checks, with the headers. Raises HTTPForbidden, with them too, for what does not."""
        headers = (OVERLAY_HEADERS if request.path == overlay else HEADERS) | {"Vary": "Origin"}
        if others.trusts(request):
            headers |= others.headers(request)
        try:
            response = await _checked(request, handler)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        response.headers.update(headers)
        return response

    async def _checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not (host_allowed(listening_on, request.host) or request.host.lower() == known.host != ""):
            raise web.HTTPForbidden(text=f"{LOCAL_ONLY}, and was asked for {request.host[:80]!r}; {LOCAL_WAY}\n")
        if others.trusts(request):
            return others.preflight(request) or await handler(request)
        if not site_allowed(request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")):
            raise web.HTTPForbidden(text="requests from pages of other sites are refused\n")
        asks_only = request.method in SAFE_METHODS and "Upgrade" not in request.headers
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if not (asks_only or known.names(request) or origin_allowed(origin, request.host, site)):
            raise web.HTTPForbidden(
                text=f"requests from pages of other sites are refused: the page is of {(origin or '')[:80]!r}, "
                f"the request for {request.host[:80]!r}; a proxy must pass on the Host header (docs/proxy.md)\n"
            )
        return await handler(request)

    return guarded
