"""Which worker a request is for, and by what path: from what the request itself says."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import hdrs, web

from streamer.cluster.signed import Signer

KEYED = ("session", "whep")  # what follows may be a key of the caller's own
BY_BEARER = "/whep"


@dataclass(frozen=True)
class ToWorker:
    """A request for what one worker has."""

    worker: str
    path: str


@dataclass(frozen=True)
class ToKey:
    """A request for the session with a key, wherever it is."""

    key: str
    path: str


@dataclass(frozen=True)
class ToAny:
    """A request that every worker answers alike."""

    path: str


def bearer_of(request: web.Request) -> str | None:
    """The bearer token."""
    return request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ").strip() or None


def route(request: web.Request, signer: Signer, by_bearer: bool) -> ToWorker | ToKey | ToAny:
    """Say who is to answer. `by_bearer`: a bearer token may name a session."""
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
