"""The live server's life: bind, warm up, serve, end within two seconds of being told to."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer import face_options
from streamer.background import refuse_transparent
from streamer.clock import MonotonicClock
from streamer.config import RecordOptions, ServeOptions
from streamer.errors import ConfigError
from streamer.gallery import Gallery
from streamer.guard import guard
from streamer.handlers import Handlers
from streamer.ice import is_loopback, offer_only, offered_addresses
from streamer.interrupt import stop_event
from streamer.limits import Limits
from streamer.lobby import Lobby
from streamer.lookahead import live_lookahead_ms
from streamer.messages import WorkerSettings
from streamer.recorder import Recordings
from streamer.say import say
from streamer.tasks import SWITCH_INTERVAL_S
from streamer.vp8 import set_bitrates
from streamer.worker import InferenceWorker

logger = logging.getLogger(__name__)

BACKLOG = 16  # connections waiting to be accepted


def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigError: an option that cannot work; the port is taken.
        AvatarError: the family or the avatar cannot be used.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


async def _serve(options: ServeOptions) -> None:
    limits = Limits()
    family = options.family or SHIPPED_FAMILY
    manifest = Manifest.load(family)
    live_lookahead_ms(manifest, options.lookahead_ms)  # what is wrong is told now, not to the first visitor
    face_options.check(manifest, options.face)
    refuse_transparent(options.face.background, "the page that people talk on")
    addresses = offered_addresses(options.host)
    recordings = open_recordings(manifest, options.record)
    listener = listen(options.host, options.port)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    offer_only(addresses)
    set_bitrates()
    worker = InferenceWorker(WorkerSettings(family, options.avatar, options.threads), manifest.size)
    lobby = Lobby(worker, options.max_sessions, limits, MonotonicClock())
    handlers = Handlers(manifest, worker, lobby, limits, options, recordings)
    app = web.Application(middlewares=[guard(options.host, overlay="/obs")], client_max_size=limits.max_sdp_bytes)
    app.add_routes(handlers.routes())
    # Bodies are taken as they come: nothing that a client compressed is unpacked.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    logging.getLogger("aiohttp.server").addFilter(not_the_clients)
    await runner.setup()
    stop = stop_event()
    try:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        say(f"avatar: loading the engines of family {manifest.family} ...")
        if await _warm_up(manifest, worker, handlers, stop):
            say(f"avatar: ready at {address(options.host, listener)}")
            await stop.wait()
        say("avatar: stopped")
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.shutdown_s):
                await asyncio.gather(lobby.close(), worker.stop())
        await runner.cleanup()
        if recordings is not None:
            await asyncio.to_thread(recordings.close)


async def _warm_up(manifest: Manifest, worker: InferenceWorker, handlers: Handlers, stop: asyncio.Event) -> bool:
    """Start the worker; False when the server is told to stop meanwhile."""
    starting = asyncio.create_task(worker.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return False
        ready = await starting
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
    handlers.gallery = Gallery.load(manifest, ready.avatars, ready.default_avatar)
    return True


def open_recordings(manifest: Manifest, record: RecordOptions) -> Recordings | None:
    """The recordings of all sessions, where they are asked for. Raises ConfigError or MediaError."""

    def note(text: str) -> None:
        say(f"avatar: {text}", sys.stderr)

    return None if record.performance is None else Recordings(record.performance, manifest, note)


def not_the_clients(record: logging.LogRecord) -> bool:
    """A log filter: a request that is no HTTP is answered (400), and is no error of this server's to tell of."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket. Port 0 takes any free one. `option` is where another can be chosen.

    Raises:
        ConfigError: the port is taken or not allowed, or the host is not an address of this machine.
    """
    name = "127.0.0.1" if host == "localhost" else host or None
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.socket(*found[0][:2])
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[0][4])
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        other = "--host" if getattr(error, "errno", None) == errno.EADDRNOTAVAIL else option
        raise ConfigError(f"cannot listen on {host}, port {port}: {reason}; choose another with {other}") from None
    return listener


def address(host: str, listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    port = listener.getsockname()[1]
    name = "localhost" if is_loopback(host) or host in ("", "0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"
