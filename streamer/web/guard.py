"""Protection against requests from other web sites, for a server that trusts every client that can reach it.

A page of any site can send requests to localhost from the visitor's browser. Three checks run before the body is read:

- Host: a server on loopback accepts loopback names only, so a foreign name that resolves to 127.0.0.1 (DNS rebinding)
  is refused.
- Sec-Fetch-Site: resource loads by pages of other sites are refused before any work is done. Such a page could not read
  the response, but a page full of images would keep this machine busy. Links from other sites work.
- Origin: a request that changes state must come from a page of this server, or from a program, which sends no Origin.
  The same holds for a WebSocket, which a page of any site could otherwise open.

Sites allowed by the operator (`origins`) skip the last two checks.
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
# OBS inserts a source's Custom CSS as a style element; images in it may still come from this server only.
OVERLAY_HEADERS = HEADERS | {POLICY: HEADERS[POLICY].replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")}


def host_allowed(listening_on: str, host_header: str) -> bool:
    """Return whether this Host header is valid for a server that listens on `listening_on`."""
    if not is_loopback(listening_on):
        return True  # on a network it may have any name
    try:
        name = urlsplit(f"//{host_header}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def origin_allowed(origin: str | None, host_header: str, site: str | None = None) -> bool:
    """Return whether a page of `origin` (None: not a page) may send a request that changes state.

    site: Sec-Fetch-Site, set by the browser and not changeable by a page. It also accepts a page behind a proxy that
    changes the Host header.
    """
    if origin is None or site == "same-origin":
        return True
    try:
        return urlsplit(origin).netloc.lower() == host_header.lower() != ""
    except ValueError:
        return False


def site_allowed(site: str | None, mode: str | None) -> bool:
    """Return whether a browser may load this for a page of such a site (None: the client sends no Sec-Fetch-Site)."""
    return site in (None, "same-origin", "none") or mode == "navigate"


def guard(
    listening_on: str, overlay: str | None = None, origins: Origins | None = None, public: PublicAddress | None = None
) -> Middleware:
    """Return the checks as middleware; it also adds the security headers to every response.

    overlay: path of the page used as an OBS overlay, which may be styled there.
    origins: other sites whose pages are treated like the server's own. public: the server's public address.
    """
    others, known = origins or Origins(), public or PublicAddress(None)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request that passes the checks, else raise HTTPForbidden; both get the security headers."""
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
