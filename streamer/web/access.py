"""Ask for a token in front of every route, and tell the routes what it allows.

A token comes as a bearer token (RFC 6750, 2.1), or, as browsers let no page set headers of a WebSocket, as a
subprotocol: `avatar-token.TOKEN` beside `avatar`, which is the one that is answered. Never in a query: logs have
those.
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

SUBPROTOCOL = "avatar"  # of a WebSocket whose token came as another one
_CHANGES = frozenset({"POST", "PATCH", "DELETE"})
_CARRIER = "avatar-token."
_GRANT = web.RequestKey("grant", Grant)
_REVOCATIONS = web.RequestKey("revocations", Revocations)
REVOKED = "the token has been revoked; ask for a new one"
NEEDED = "a token is needed: open the whole address that you were given (…/#token=…), or ask whoever runs this server"

# Of a route: its method and its path as it was added. Scopes, one of which is needed; none: open to everybody.
Scopes = Mapping[tuple[str, str], tuple[str, ...]]


def grant_of(request: web.Request) -> Grant:
    """What whoever asks may do."""
    found: Grant = request.get(_GRANT, EVERYTHING)
    return found


def is_asked_for(request: web.Request) -> bool:
    """Whether the server asks for tokens: then a bearer token is one, and nothing else."""
    return _GRANT in request


async def until_revoked(request: web.Request) -> None:
    """Return when the token of whoever asks is revoked, perhaps never; also when the request has been answered."""
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
    """The check as middleware; nothing where `verifier` is None.

    scopes: what routes need; one that is not in it is for who rules. failures: how fast wrong tokens are taken from an
    address; each: how fast requests with one token. revocations: of tokens, whose WebSockets then end.
    """

    def accepted(text: str) -> Grant:
        assert verifier is not None  # asked before
        grant = verifier.check(text)
        if revocations is not None and revocations.hold(grant.token):
            raise TokenError(REVOKED)
        return grant

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer who may ask. Raises HTTPUnauthorized, HTTPForbidden or HTTPTooManyRequests."""
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
    """Break off a connection that lasts when its token is revoked."""
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
    """The token that comes with a request, whatever it is worth."""
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
    """A request's method and route, without what in its path is a secret."""
    resource = request.match_info.route.resource
    return f"{request.method} {'?' if resource is None else resource.canonical}"
