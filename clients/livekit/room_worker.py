"""The worker's side: faces that join LiveKit rooms on request of agents, several at a time.

    POST   /rooms       {"livekit_url", "livekit_token", "agent", "avatar"}; 201 and {"id"} when the face is in the room
    DELETE /rooms/ID    the face leaves the room
    GET    /load        {"rooms": 1, "most": 4, "load": 0.25}

Refusals are one line of plain text. All but /load require the worker's secret as a bearer token, if one is set; a
worker without a secret may listen on this machine only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import signal
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from livekit import rtc
from livekit.agents.voice.avatar import AvatarRunner

from clients.agent_voice import FaceSource
from clients.livekit.face_generator import FaceGenerator
from clients.livekit.heard_receiver import HeardReceiver
from clients.speech import Event

logger = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024  # of a request
JOIN_S = 20.0
AGENT_S = 30.0  # for the agent to join the room
RETRY_AFTER_S = "5"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Connect = Callable[[str, str], Awaitable[rtc.Room]]


class Wanted(msgspec.Struct, frozen=True):
    """A request for a face."""

    livekit_url: str
    livekit_token: str
    agent: str
    avatar: str | None = None


async def connect_room(url: str, token: str) -> rtc.Room:
    """Join a room without subscribing to its tracks: the face needs only its agent's data. Raises rtc.ConnectError."""
    room = rtc.Room()
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
    return room


class RoomWorker:
    """At most `most` faces in rooms. `face` returns the source for an avatar's name, None for the default."""

    def __init__(
        self,
        face: Callable[[str | None], FaceSource],
        most: int = 4,
        secret: str = "",
        connect: Connect = connect_room,
    ) -> None:
        self._face = face
        self._most = most
        self._secret = secret
        self._connect = connect
        self._rooms: dict[str, asyncio.Task[None]] = {}

    def application(self) -> web.Application:
        """Return the HTTP application; its cleanup leaves all rooms."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.add_routes(
            [
                web.post("/rooms", self._open),
                web.delete("/rooms/{id}", self._close),
                web.get("/load", self._load),
            ]
        )
        app.on_cleanup.append(self._leave_all)
        return app

    @property
    def has_secret(self) -> bool:
        """Whether requests need a secret."""
        return bool(self._secret)

    @property
    def load(self) -> float:
        """Share of the places in use, 0 to 1."""
        return len(self._rooms) / self._most

    async def _load(self, request: web.Request) -> web.Response:
        return web.json_response({"rooms": len(self._rooms), "most": self._most, "load": self.load})

    async def _open(self, request: web.Request) -> web.Response:
        self._check(request)
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the request must be application/json\n")
        try:
            wanted = msgspec.json.decode(await request.read(), type=Wanted)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=f"the request cannot be used: {error}\n") from None
        if not wanted.livekit_url.startswith(("ws://", "wss://", "http://", "https://")):
            raise web.HTTPBadRequest(text=f"livekit_url is {wanted.livekit_url[:40]!r}, expected wss://...\n")
        if len(self._rooms) >= self._most:
            reason = f"all {self._most} places are taken; try again in a moment\n"
            raise web.HTTPServiceUnavailable(text=reason, headers={"Retry-After": RETRY_AFTER_S})
        number = secrets.token_urlsafe(12)
        joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._stay(wanted, joined), name=f"room-{number}")
        self._rooms[number] = task
        task.add_done_callback(lambda _: self._rooms.pop(number, None))
        try:
            await asyncio.shield(joined)
        except Exception as error:
            raise web.HTTPBadGateway(text=f"the face cannot join: {error or type(error).__name__}\n") from None
        return web.json_response({"id": number}, status=201)

    async def _close(self, request: web.Request) -> web.Response:
        self._check(request)
        task = self._rooms.get(request.match_info["id"])
        if task is None:
            raise web.HTTPNotFound(text="there is no such room\n")
        await _end(task)
        return web.Response()

    async def _leave_all(self, app: web.Application) -> None:
        await asyncio.gather(*map(_end, list(self._rooms.values())))

    def _check(self, request: web.Request) -> None:
        if "Origin" in request.headers:
            raise web.HTTPForbidden(text="pages do not ask for faces, agents do\n")
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._secret and not hmac.compare_digest(given.encode(), self._secret.encode()):
            raise web.HTTPUnauthorized(
                text="the worker's secret is needed (Authorization: Bearer)\n", headers={"WWW-Authenticate": "Bearer"}
            )

    async def _stay(self, wanted: Wanted, joined: asyncio.Future[None]) -> None:
        """Stay in a room until its agent has left. `joined` is done once the face is in the room, or fails."""
        room: rtc.Room | None = None
        try:
            receivers: list[HeardReceiver] = []
            on_event: Callable[[Event], None] = lambda event: receivers[0].report(event)  # noqa: E731
            async with FaceGenerator(self._face(wanted.avatar), on_event) as generator:
                async with asyncio.timeout(JOIN_S):
                    room = await self._connect(wanted.livekit_url, wanted.livekit_token)
                joined.set_result(None)  # the agent may join later
                receivers.append(HeardReceiver(room, sender_identity=wanted.agent))
                gone = _gone(room, wanted.agent)
                runner = AvatarRunner(room, audio_recv=receivers[0], video_gen=generator, options=generator.options)
                try:
                    async with asyncio.timeout(AGENT_S):
                        await runner.start()
                    ended = asyncio.create_task(runner.wait_for_complete())
                    await asyncio.wait([ended, gone], return_when=asyncio.FIRST_COMPLETED)
                    if ended.done():
                        ended.result()
                finally:
                    await runner.aclose()
        except Exception as error:  # LiveKit or a face's source may raise anything
            logger.warning("a face leaves its room: %s", error or type(error).__name__)
            if not joined.done():
                joined.set_exception(error)
        finally:
            if not joined.done():
                joined.set_exception(RuntimeError("it was sent away"))
            if room is not None:
                await room.disconnect()


async def serve(worker: RoomWorker, host: str = "localhost", port: int = 8090) -> None:
    """Listen until cancelled, or stopped by SIGINT or SIGTERM; then leave all rooms.

    Raises:
        ValueError: the host is reachable from other machines, and the worker has no secret.
        OSError: the port is in use.
    """
    if not worker.has_secret and host not in LOOPBACK:
        raise ValueError(f"host {host} is reached from elsewhere: a secret is needed; or listen on localhost")
    runner = web.AppRunner(worker.application(), access_log=None)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await web.TCPSite(runner, host, port).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def _gone(room: rtc.Room, agent: str) -> asyncio.Future[None]:
    """Return a future that is done when the agent has left or the room is disconnected."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not gone.done():
            gone.set_result(None)

    room.on("disconnected", lambda *_: end())
    room.on("participant_disconnected", lambda who: end() if who.identity == agent else None)
    return gone


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
