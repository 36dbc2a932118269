"""Pass a request on to a worker and its answer back, bodies as they come: who reads slowly holds up who writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict

CONNECT_S = 2.0  # a worker that does not take a connection by then is not there
ANSWER_S = 60.0  # between two pieces of an answer ...
MADE_S = 180.0  # ... to a photo, which arrives, waits for its turn and is made
MOST_BODY = 32 << 20  # of a request; the worker has its own, smaller limits
PIECE = 64 << 10
# RFC 9110, 7.6.1: what belongs to one connection is not passed on.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "x-forwarded-for"}
)


def connections() -> aiohttp.ClientSession:
    """Connections to workers, kept alive between requests."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
    return aiohttp.ClientSession(
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=True),
    )


def passed_on(request: web.Request, added: Mapping[str, str]) -> CIMultiDict[str]:
    """A request's headers as a worker gets them; those that only a gateway may set replace any of the caller's."""
    names = {name.lower() for name in added}
    kept = [(name, value) for name, value in request.headers.items() if _passes(name, names)]
    return CIMultiDict([*kept, *added.items()])


def answer_headers(response: aiohttp.ClientResponse) -> CIMultiDict[str]:
    """An answer's headers as the caller gets them."""
    own = {"content-length", "date", "server"}
    return CIMultiDict([(name, value) for name, value in response.headers.items() if _passes(name, own)])


def _passes(name: str, without: set[str]) -> bool:
    return name.lower() not in HOP_BY_HOP and name.lower() not in without


async def forward(
    http: aiohttp.ClientSession,
    request: web.Request,
    url: str,
    headers: Mapping[str, str],
    alter: Callable[[CIMultiDict[str]], None],
) -> web.StreamResponse:
    """Pass a request and its answer on, whose headers `alter` may alter.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError: the worker cannot be reached, or stops in the middle.
    """
    body = bounded(request) if request.body_exists else None
    async with http.request(request.method, url, headers=headers, data=body, allow_redirects=False) as response:
        return await passed_back(request, response, alter)


async def passed_back(
    request: web.Request,
    response: aiohttp.ClientResponse,
    alter: Callable[[CIMultiDict[str]], None] = lambda headers: None,
) -> web.StreamResponse:
    """Give a caller the answer that a worker gives, as it comes."""
    headers = answer_headers(response)
    alter(headers)
    answer = web.StreamResponse(status=response.status, reason=response.reason, headers=headers)
    if response.content_length is not None and request.method != hdrs.METH_HEAD:
        answer.content_length = response.content_length
    await answer.prepare(request)
    async for piece in response.content.iter_chunked(PIECE):
        await answer.write(piece)
    await answer.write_eof()
    return answer


async def bounded(request: web.Request) -> AsyncIterator[bytes]:
    """A request's body. Raises HTTPRequestEntityTooLarge beyond MOST_BODY."""
    taken = 0
    async for piece in request.content.iter_any():
        taken += len(piece)
        if taken > MOST_BODY:
            raise web.HTTPRequestEntityTooLarge(MOST_BODY, taken, text=f"more than {MOST_BODY >> 20} MiB\n")
        yield piece
