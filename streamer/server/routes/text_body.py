"""A short text as the body of a request: bounded before it is read, decoded strictly, on one line."""

from __future__ import annotations

import asyncio

from aiohttp import web

ARRIVE_S = 5.0
UTF8_BYTES = 4  # of a character, at most


async def read_text(request: web.Request, characters: int) -> str:
    """Return at most so many printable characters.

    Raises:
        HTTPException: it is too long, too slow, no UTF-8, or nothing.
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
