"""Middleware that requires an access token on every route and passes its permissions to the handlers.

A token is sent as a bearer token (RFC 6750, 2.1). Browsers do not let a page set the headers of a WebSocket, so there
the token is a subprotocol: `avatar-token.TOKEN` beside `avatar`; the server selects `avatar`. A token in the query is
not accepted, because queries appear in logs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.access.grant import EVERYTHING, SCOPES, Grant
from streamer.access.revocation import Revocations
from streamer.access.tokens import TokenError, Verifier
from streamer.web.throttle import Throttles, address_of

audit = logging.getLogger("streamer.audit")

SUBPROTOCOL = "avatar"  # selected for a WebSocket whose token is in a second subprotocol
_CHANGES = frozenset({"POST", "PATCH", "DELETE"})
_CARRIER = "avatar-token."
_GRANT = web.RequestKey("grant", Grant)
_REVOCATIONS = web.RequestKey("revocations", Revocations)
REVOKED = "the token has been revoked; ask for a new one"
NEEDED = "a token is needed: open the whole address that you were given (…/#token=…), or ask whoever runs this server"

# Key: the method and path of a route, as registered. Value: the scopes, of which the token needs one; empty: public.
Scopes = Mapping[tuple[str, str], tuple[str, ...]]


def grant_of(request: web.Request) -> Grant:
    """Return the permissions of the caller."""
    found: Grant = request.get(_GRANT, EVERYTHING)
    return found


def is_asked_for(request: web.Request) -> bool:
    """Return whether this server requires tokens; if so, a bearer token is always an access token."""
    return _GRANT in request


async def until_revoked(request: web.Request) -> None:
    """Wait until the caller's token is revoked, perhaps for ever; may be awaited after the response, too."""
    revocations, grant = request.get(_REVOCATIONS), grant_of(request)
    if revocations is None or not grant.token:
        await asyncio.Event().wait()
    else:
        await revocations.until(grant.token)


def access(
    verifier: Verifier | None,
    scopes: Scopes,
    failures: Throttles,
    each: Throttles,
    revocations: Revocations | None = None,
) -> Middleware:
    """Return the token check as middleware; it passes every request if `verifier` is None.

    scopes: those each route needs; a route not in it is for administrators only. failures: rate limit of rejected
    tokens per address. each: rate limit of requests per token. revocations: revoked tokens; open WebSockets of a
    revoked token are closed.
    """

    def accepted(text: str) -> Grant:
        assert verifier is not None  # checked by the caller
        grant = verifier.check(text)
        if revocations is not None and revocations.hold(grant.token):
            raise TokenError(REVOKED)
        return grant

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle an authorized request. Raises HTTPUnauthorized, HTTPForbidden or HTTPTooManyRequests."""
        if verifier is None or request.match_info.http_exception is not None or request.method == "OPTIONS":
            return await handler(request)
        needed = _needed(scopes, request)
        if needed == ():
            return await handler(request)
        text = token_of(request)
        if text is None:
            raise _unauthorized(NEEDED, None)
        try:
            grant = accepted(text)
        except TokenError as error:
            audit.info("token refused: %s; from %s for %s", error, address_of(request), _route(request))
            await failures.turn(address_of(request))
            raise _unauthorized(str(error), "invalid_token") from None
        if not grant.may(*needed):
            audit.info("refused: %s; %s, from %s", _route(request), _whose(grant), address_of(request))
            raise _forbidden(needed)
        await each.turn(grant.token)
        request[_GRANT] = grant
        if revocations is not None:
            request[_REVOCATIONS] = revocations
        ending = asyncio.create_task(_end_when_revoked(request)) if "Upgrade" in request.headers else None
        try:
            response = await handler(request)
        finally:
            if ending is not None:
                ending.cancel()
        if request.method in _CHANGES:
            audit.info("%s: %s; %s, from %s", _route(request), response.status, _whose(grant), address_of(request))
        return response

    return checked


async def _end_when_revoked(request: web.Request) -> None:
    """Abort a long-lived connection (a WebSocket) when its token is revoked."""
    await until_revoked(request)
    audit.info("%s: broken off, as the token was revoked; from %s", _route(request), address_of(request))
    if request.transport is not None:
        request.transport.abort()


def _needed(scopes: Scopes, request: web.Request) -> tuple[str, ...]:
    resource = request.match_info.route.resource
    path = "" if resource is None else resource.canonical
    method = "GET" if request.method == "HEAD" else request.method
    return scopes.get((method, path), (SCOPES[-1],))


def token_of(request: web.Request) -> str | None:
    """Return the token sent with a request, not yet verified; None without a token."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and text.strip():
        return text.strip()
    for name in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if name.strip().startswith(_CARRIER):
            return name.strip().removeprefix(_CARRIER)
    return None


def _unauthorized(reason: str, kind: str | None) -> web.HTTPUnauthorized:
    challenge = 'Bearer realm="avatar"' + ("" if kind is None else f', error="{kind}"')
    return web.HTTPUnauthorized(text=f"{reason}\n", headers={"WWW-Authenticate": challenge})


def _forbidden(needed: tuple[str, ...]) -> web.HTTPForbidden:
    scopes = " or ".join(needed)
    challenge = f'Bearer realm="avatar", error="insufficient_scope", scope="{" ".join(needed)}"'
    text = f"the token does not allow this; it needs the scope {scopes}\n"
    return web.HTTPForbidden(text=text, headers={"WWW-Authenticate": challenge})


def _whose(grant: Grant) -> str:
    return f"token {grant.token} of {grant.owner}" if grant.token else "the secret's holder"


def _route(request: web.Request) -> str:
    """Return a request's method and route pattern, without secrets in the path."""
    resource = request.match_info.route.resource
    return f"{request.method} {'?' if resource is None else resource.canonical}"
