"""POST and DELETE /session/TOKEN/say: speak a text in a session, and stop speaking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from aiohttp import web

from streamer.core.errors import SessionError
from streamer.server.routes.text_body import read_text
from streamer.server.routes.voice_handlers import RETRY_S, known, language_of, speech_of
from streamer.session.speech.speech_line import LineFullError, Piece, SpeechLine
from streamer.voice.synthesiser import Synthesiser, sentences

MOST_CHARACTERS = 2_000  # about two minutes of speech
NOT_KEPT = {"Cache-Control": "no-store"}


class Speaking(Protocol):
    """A session that can speak text. `reason`: why it ended."""

    line: SpeechLine
    reason: str

    async def ended(self) -> None:
        """Wait until the session has ended."""


class SayHandlers:
    """The handlers of one server. `voice`: the synthesiser; None without one.

    find: returns the session that a request names; raises HTTPException if there is none.
    """

    def __init__(self, voice: Synthesiser | None, find: Callable[[web.Request], Speaking]) -> None:
        self._voice = voice
        self._find = find

    async def say(self, request: web.Request) -> web.Response:
        """Speak a text after those already queued, or with ?interrupt=1 instead of them.

        Responds when all of it is queued for playout: {"speech": its number, or null if it was interrupted before}.
        """
        session, voice, language = self._find(request), known(self._voice), language_of(request)
        if (interrupt := request.query.get("interrupt", "0")) not in ("0", "1"):
            raise web.HTTPBadRequest(text=f"interrupt is {interrupt[:20]!r}, expected 0 or 1\n")
        text = await read_text(request, MOST_CHARACTERS)
        if interrupt == "1":
            session.line.interrupt()
        try:
            number = await _while_it_lasts(session, session.line.say(_pieces(voice, text, language)))
        except LineFullError as error:
            raise web.HTTPTooManyRequests(text=f"{error}\n", headers={"Retry-After": RETRY_S}) from None
        except SessionError as error:
            raise web.HTTPConflict(text=f"{error}\n") from None
        return web.json_response({"speech": number}, headers=NOT_KEPT)

    async def hush(self, request: web.Request) -> web.Response:
        """Stop all speech at once; return {"heard_ms": ms played of the texts since the session was last idle}."""
        return web.json_response({"heard_ms": self._find(request).line.interrupt()}, headers=NOT_KEPT)


async def _pieces(voice: Synthesiser, text: str, language: str) -> AsyncIterator[Piece]:
    for sentence in sentences(text):
        spoken = await speech_of(voice, sentence, language)
        yield spoken.pcm, spoken.rate, sentence.strip()


async def _while_it_lasts(session: Speaking, saying: Coroutine[Any, Any, int | None]) -> int | None:
    """Return the result of `saying`. Raises SessionError if the session ends first."""
    said, ended = asyncio.create_task(saying), asyncio.create_task(session.ended())
    try:
        await asyncio.wait([said, ended], return_when=asyncio.FIRST_COMPLETED)
        if not said.done():
            raise SessionError(f"the session has ended: {session.reason}")
        return said.result()
    finally:
        for task in (said, ended):
            task.cancel()
        await asyncio.gather(said, ended, return_exceptions=True)
