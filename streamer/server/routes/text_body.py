"""Reader of a short text in a request body: limited in size while read, strict UTF-8, one line."""

from __future__ import annotations

import asyncio

from aiohttp import web

ARRIVE_S = 5.0
UTF8_BYTES = 4  # per character, at most


async def read_text(request: web.Request, characters: int) -> str:
    """Return the request body as text, at most this many printable characters.

    Raises:
        HTTPException: the text is too long, too slow, not UTF-8, or empty.
    """
    most, body = UTF8_BYTES * characters, bytearray()
    try:
        async with asyncio.timeout(ARRIVE_S):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most:
                    reason = f"the text is longer than the {characters} characters taken\n"
                    raise web.HTTPRequestEntityTooLarge(most, len(body), text=reason)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the text did not arrive in time\n") from None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise web.HTTPBadRequest(text="the request's body is not UTF-8 text\n") from None
    plain = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    if not plain:
        raise web.HTTPBadRequest(text="there is no text to speak\n")
    if len(plain) > characters:
        reason = f"the text has {len(plain)} characters, {characters} are taken\n"
        raise web.HTTPRequestEntityTooLarge(characters, len(plain), text=reason)
    return plain
