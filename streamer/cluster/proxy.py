"""Forward an HTTP request to a worker and stream the response back, with backpressure in both directions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict

CONNECT_S = 2.0  # connect timeout: a worker that takes longer counts as unreachable
ANSWER_S = 60.0  # read timeout: longest wait for the next part of a response
MADE_S = 180.0  # total timeout of a photo request: upload, queueing and processing
MOST_BODY = 32 << 20  # bytes of a request body; the worker has its own, smaller limits
PIECE = 64 << 10
# RFC 9110, 7.6.1: hop-by-hop headers are not forwarded. Nor is X-Forwarded-For: the gateway evaluates it.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "x-forwarded-for"}
)


def connections() -> aiohttp.ClientSession:
    """Return the HTTP client for requests to workers; it keeps connections alive between requests."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=ANSWER_S)
    return aiohttp.ClientSession(
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=True),
    )


def passed_on(request: web.Request, added: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the request headers for the worker; a header in `added` replaces the caller's header of that name."""
    names = {name.lower() for name in added}
    kept = [(name, value) for name, value in request.headers.items() if _passes(name, names)]
    return CIMultiDict([*kept, *added.items()])


def answer_headers(response: aiohttp.ClientResponse) -> CIMultiDict[str]:
    """Return the response headers for the caller."""
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
    """Forward a request and stream the response back; `alter` may change the response headers.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError: the worker cannot be reached, or fails during the response.
    """
    body = bounded(request) if request.body_exists else None
    async with http.request(request.method, url, headers=headers, data=body, allow_redirects=False) as response:
        return await passed_back(request, response, alter)


async def passed_back(
    request: web.Request,
    response: aiohttp.ClientResponse,
    alter: Callable[[CIMultiDict[str]], None] = lambda headers: None,
) -> web.StreamResponse:
    """Stream a worker's response to the caller."""
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
    """Yield the request body in chunks. Raises HTTPRequestEntityTooLarge beyond MOST_BODY."""
    taken = 0
    async for piece in request.content.iter_any():
        taken += len(piece)
        if taken > MOST_BODY:
            raise web.HTTPRequestEntityTooLarge(MOST_BODY, taken, text=f"more than {MOST_BODY >> 20} MiB\n")
        yield piece
