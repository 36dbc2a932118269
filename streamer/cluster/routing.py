"""Route a request: find its worker and the path there from the request alone."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import hdrs, web

from streamer.cluster.signed import Signer

KEYED = ("session", "whep")  # the next part of the path may be a key that the caller chose
BY_BEARER = "/whep"


@dataclass(frozen=True)
class ToWorker:
    """A request that only this worker can answer."""

    worker: str
    path: str


@dataclass(frozen=True)
class ToKey:
    """A request for the session with this key, on a worker still to be found."""

    key: str
    path: str


@dataclass(frozen=True)
class ToAny:
    """A request that any worker can answer."""

    path: str


def bearer_of(request: web.Request) -> str | None:
    """Return the request's bearer token, or None."""
    return request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ").strip() or None


def route(request: web.Request, signer: Signer, by_bearer: bool) -> ToWorker | ToKey | ToAny:
    """Return the target of a request. `by_bearer`: a bearer token may name a session."""
    bearer = bearer_of(request)
    if by_bearer and request.path == BY_BEARER and bearer is not None:
        if (signed := signer.read(bearer)) is not None:
            return ToWorker(signed.worker, f"{BY_BEARER}/{signed.name}")
        return ToKey(bearer, BY_BEARER)
    if (found := signer.read_path(request.path)) is not None:
        signed, path = found
        return ToWorker(signed.worker, path)
    parts = request.path.split("/")
    if len(parts) > 2 and parts[1] in KEYED and parts[2]:
        return ToKey(parts[2], request.path)
    return ToAny(request.path)
