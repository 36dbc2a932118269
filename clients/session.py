"""Client of a session that another program opened (docs/control.md): say texts, steer the face, receive its events.

    async with SessionClient("http://localhost:8080/session/TOKEN") as session:
        await session.control(type="gesture", name="nod")
        await session.say("Good morning.")
        async for event in session.events():
            print(event)                        # {"type": "state", "state": "speaking", ...}

The address is the session's Location, or contains its key. To push audio instead of text, use `clients.speech`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import aiohttp

VERSION = 1
ANSWER_S = 10.0  # for the server to answer
SAY_S = 180.0  # for `say`: the server answers once the whole text is queued
LARGEST_EVENT = 64 * 1024
MOST_UNREAD = 256  # events; beyond it the oldest are dropped

Event = dict[str, Any]


class SessionClientError(Exception):
    """The server refused a request, or the connection is lost; the message is for people."""


class SessionClient:
    """Client of the session at `url`, connected inside `async with`.

    token: an access token, for a server that requires one. can: the messages and gestures that this face supports.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.can: tuple[str, ...] = ()
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(MOST_UNREAD)
        self._ended: str | None = None  # the reason, once the session has ended
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> SessionClient:
        """Connect. Raises SessionClientError."""
        self._http = aiohttp.ClientSession(headers=self._headers)
        try:
            async with asyncio.timeout(ANSWER_S):
                self._socket = await self._http.ws_connect(
                    f"{self._url}/control", max_msg_size=LARGEST_EVENT, heartbeat=15.0
                )
                await self._socket.send_str(json.dumps({"type": "hello", "version": VERSION}))
                hello = await self._receive()
        except aiohttp.WSServerHandshakeError as error:
            await self._http.close()
            found = "no such session; it may have ended" if error.status == 404 else f"it answered {error.status}"
            raise SessionClientError(f"{self._url}: {found}") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await self._http.close()
            raise SessionClientError(f"{self._url}: {error or 'no answer'}") from None
        except BaseException:
            await self._http.close()
            raise
        self.can = tuple(hello.get("can", ()))
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()
        await self._http.close()

    async def control(self, **message: Any) -> None:
        """Send a message of docs/control.md, such as type="gesture", name="nod"; a refusal comes as an event `error`.

        Raises:
            SessionClientError: the session has ended.
        """
        if self._ended is not None:
            raise SessionClientError(self._ended)
        try:
            await self._socket.send_str(json.dumps(message))
        except (aiohttp.ClientError, OSError) as error:
            raise SessionClientError(str(error)) from None

    async def events(self) -> AsyncIterator[Event]:
        """Yield the session's events until it ends. If they are not read in time, the oldest are dropped."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # for the next call of `events`

    async def say(self, text: str, language: str = "en", interrupt: bool = False) -> int | None:
        """Say a text after those queued, or instead of them; return its number once the whole text is queued.

        Returns None if it was interrupted before that. Raises SessionClientError.
        """
        query = {"language": language, "interrupt": "1" if interrupt else "0"}
        found = await self._ask("POST", "/say", SAY_S, params=query, data=text.encode())
        number: int | None = found["speech"]
        return number

    async def interrupt(self) -> int:
        """Silence the face at once; return how many ms of the texts were heard. Raises SessionClientError."""
        found = await self._ask("DELETE", "/say", ANSWER_S)
        return int(found["heard_ms"])

    async def report(self) -> dict[str, Any]:
        """Return the session's counters since its start. Raises SessionClientError."""
        return await self._ask("GET", "", ANSWER_S)

    async def _ask(self, method: str, path: str, patience_s: float, **more: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience_s), self._http.request(method, self._url + path, **more) as response:
                if response.status != 200:
                    words = (await response.text()).strip()
                    raise SessionClientError(words or f"the server answered {response.status}")
                found: dict[str, Any] = await response.json()
                return found
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SessionClientError(f"{self._url}: {error or 'no answer'}") from None

    async def _read(self) -> None:
        try:
            while True:
                event = await self._receive()
                if self._events.qsize() >= MOST_UNREAD - 1:
                    self._events.get_nowait()
                self._events.put_nowait(event)
        except SessionClientError as error:
            self._ended = str(error)
            self._events.put_nowait(None)

    async def _receive(self) -> Event:
        """Return the next event. Raises SessionClientError when the connection has ended."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            event: Event = json.loads(message.data)
            return event
        raise SessionClientError(str(message.extra or "the connection has ended"))
