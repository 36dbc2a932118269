"""Lifecycle of the live server: bind, warm up, serve, and stop within two seconds of a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import ClientConnectionResetError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from aiortc import InvalidStateError

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.access.revocation import REVOKED, Revocations
from streamer.access.tokens import Verifier
from streamer.avatar.background import refuse_transparent
from streamer.avatar.catalogue import default_name, find_avatar, home_folder, list_avatars
from streamer.avatar.frame_size import most_pixels
from streamer.avatar.gallery import Gallery
from streamer.core.aio import SWITCH_INTERVAL_S, MonotonicClock, until_first
from streamer.core.console import note, say
from streamer.core.errors import BundleError, ConfigError
from streamer.core.limits import Limits, RateLimits
from streamer.core.options import RecordOptions
from streamer.core.system.memory import give_back
from streamer.core.system.signals import stop_event
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.recording.recorder import Recordings
from streamer.server.admission.capacity import MOST_SESSIONS
from streamer.server.options import ServeOptions
from streamer.server.photos.shared_photos import PhotoStore, SharedPhotos
from streamer.server.registry import Lobby
from streamer.server.routes.handlers import Handlers
from streamer.server.routes.scopes import SCOPES
from streamer.stages import face_options
from streamer.stages.lookahead import live_lookahead_ms
from streamer.web.access import Scopes, access, audit
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.floods import Floods
from streamer.web.guard import guard
from streamer.web.listen import addresses, is_loopback, listen
from streamer.web.origins import Origins
from streamer.web.proxies import Proxies, PublicAddress
from streamer.web.request_log import RequestLog
from streamer.web.request_log import logger as requests_logger
from streamer.web.throttle import Throttles, is_local, throttled
from streamer.web.tls import Certificate
from streamer.webrtc.codecs import set_bitrates
from streamer.webrtc.ice import offer_to, own_addresses, reach
from streamer.webrtc.public_ip import announce
from streamer.webrtc.udp_ports import loop_factory

logger = logging.getLogger(__name__)

HTTP: dict[str, Any] = {
    "auto_decompress": False,  # bodies stay as sent: nothing that a client compressed is unpacked
    "handler_cancellation": True,  # an aborted request is cancelled and frees its resources
    "keepalive_timeout": 15.0,
    "read_bufsize": 4096,  # bytes of a body or a WebSocket to buffer before they are read
    "lingering_time": 2.0,  # to drain a body that the handler did not read
    "shutdown_timeout": 0.1,
}
PLAIN = " (a browser gives the microphone to https pages only)"

Enclose = Callable[[Lobby, SharedPhotos | None], Middleware]


def serve(options: ServeOptions, enclose: Enclose | None = None, store: PhotoStore | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    enclose: makes an extra middleware in front of all routes, for a server of a cluster behind a gateway.
    store: the cluster's shared store of visitors' photos; None keeps photos on this machine.

    Raises:
        ConfigError: an option is invalid, or the port is taken.
        AvatarError: the family or the avatar cannot be used.
    """
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory(options.udp_ports)) as runner:
        runner.run(_serve(options, enclose, store))


async def _serve(options: ServeOptions, enclose: Enclose | None, store: PhotoStore | None) -> None:
    options = replace(options, face=replace(options.face, badge=options.shows_badge))
    manifest = _checked_family(options)
    certificate = certificate_of(options)
    proxies, public = Proxies(options.trusted_proxies), PublicAddress(options.public_url)
    recordings = open_recordings(manifest, options.record)
    listener = listen(options.host, options.port)
    _prepare_calls(options)
    limits, rates, clock = Limits(), RateLimits(), MonotonicClock()
    worker = InferenceWorker(WorkerSettings(manifest.folder, options.avatar, options.threads), most_pixels(manifest))
    lobby = Lobby(worker, options.max_sessions, limits, clock)
    requests = Throttles(rates.requests_each, rates.requests, rates.patience_s, clock)
    door = _door(options, proxies, certificate, behind_gateway=enclose is not None, protocol=lambda: protocol())
    log = RequestLog(clock, options.access_log)
    shared = None if store is None else SharedPhotos(store, manifest, worker, lambda: handlers.gallery, clock)
    handlers = Handlers(manifest, worker, lobby, limits, options, door, requests, recordings, log, photos=shared)
    enclosing = [] if enclose is None else [enclose(lobby, shared)]
    looking = [] if shared is None else [shared.middleware()]
    guarded = guard(options.host, "/obs", Origins(options.allowed_origins), public)
    tokens = asking_for_tokens(options.token_keys, rates)
    checks = [proxies.middleware(), log.middleware(), guarded, throttled(requests), Floods(clock).middleware(), tokens]
    middlewares = [door.middleware(), *enclosing, *checks, public.middleware(), *looking]
    app = web.Application(middlewares=middlewares, client_max_size=limits.max_sdp_bytes)
    app.add_routes(handlers.routes())
    runner = web.AppRunner(app, access_log=None, **HTTP)
    _prepare_logs()
    await runner.setup()
    assert runner.server is not None  # set by `setup`
    protocol = runner.server
    asyncio.get_running_loop().set_exception_handler(on_stray_error)
    stop = stop_event()
    serving = asyncio.create_task(door.serve(listener))
    try:
        say(f"avatar: loading the engines of family {manifest.family} ...")
        if await _warm_up(manifest, options.avatar, worker, handlers, stop):
            _invite(options, listener, public)
            watching = [] if certificate is None else [certificate.watch(clock)]
            await until_first(stop.wait(), handlers.expire_photos(), *watching)
        say("avatar: stopped")
    finally:
        serving.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.shutdown_s):
                await asyncio.gather(lobby.close(), worker.stop())
        await runner.cleanup()
        await handlers.close()
        if recordings is not None:
            await asyncio.to_thread(recordings.close)


def _checked_family(options: ServeOptions) -> Manifest:
    """Load the family and check the options against it, so errors are reported now and not to the first visitor."""
    manifest = Manifest.load(options.family or SHIPPED_FAMILY)
    live_lookahead_ms(manifest, options.lookahead_ms)
    face_options.check(manifest, options.face)
    refuse_transparent(options.face.background, "the page that people talk on")
    if options.avatar is not None:
        find_avatar(manifest, options.avatar)
    return manifest


def _prepare_calls(options: ServeOptions) -> None:
    """Configure aiortc's offered addresses and bit rates."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    offer_to(reach("0.0.0.0" if is_loopback(options.host) and not options.local else options.host))
    announce(options.public_ip)
    set_bitrates()


def _door(
    options: ServeOptions,
    proxies: Proxies,
    certificate: Certificate | None,
    behind_gateway: bool,
    protocol: Callable[[], asyncio.BaseProtocol],
) -> Door:
    allowed = door_limits(options.max_sessions or MOST_SESSIONS)
    if behind_gateway:  # all connections come from the gateway
        allowed = replace(allowed, connections_each=allowed.connections)
    encryption = None if certificate is None else certificate.context
    return Door(
        protocol,
        allowed,
        MonotonicClock(),
        encryption,
        lambda address: is_local(address) or proxies.believes(address),
    )


def _prepare_logs() -> None:
    logging.getLogger("aiohttp.server").addFilter(not_the_clients)
    for always in (audit, requests_logger):
        always.setLevel(logging.INFO)  # independent of the general log level


def _invite(options: ServeOptions, listener: socket.socket, public: PublicAddress) -> None:
    """Print the server's addresses, and the invitation if there is one."""
    plain = options.cert is None
    first, *others = addresses(options.host, listener, own_addresses(), "http" if plain else "https")
    say(f"avatar: ready at {first}")
    for other in others:
        say(f"avatar: from other machines, {other}{PLAIN if plain else ''}")
    if options.invitation is not None:
        say(f"avatar: open it as {public.url or first}#token={options.invitation}")
        say("avatar: that invites for a day; `avatar token` invites others, each with photos of their own")


async def _warm_up(
    manifest: Manifest, default: str | None, worker: InferenceWorker, handlers: Handlers, stop: asyncio.Event
) -> bool:
    """Start the worker and read the portraits; return False if the server is stopped meanwhile."""
    starting = asyncio.create_task(worker.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        portraits = await asyncio.to_thread(_portraits, manifest, default)
        if portraits is not None:
            handlers.show(portraits)
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return False
        ready = await starting
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
    if portraits is None:
        handlers.show(Gallery.load(manifest, ready.avatars, ready.default_avatar))
    else:
        handlers.show(portraits.only(lambda portrait: portrait.name in ready.avatars))
    give_back()  # memory used to read the portraits
    return True


def certificate_of(options: ServeOptions) -> Certificate | None:
    """Load the TLS certificate, or return None if TLS is off. Raises ConfigError."""
    if options.cert is None and options.key is None:
        return None
    if options.cert is None or options.key is None:
        raise ConfigError("--cert and --key belong together; give both, or none behind a proxy that has them")
    return Certificate(options.cert, options.key)


def asking_for_tokens(keys: Sequence[str], rates: RateLimits, scopes: Scopes = SCOPES) -> Middleware:
    """Return the middleware that requires access tokens; without keys it accepts all requests. Raises ConfigError.

    Tokens revoked by `avatar token revoke` with the same AVATAR_HOME are rejected.
    """
    verifier = Verifier(keys) if keys else None
    clock = MonotonicClock()
    failures = Throttles(rates.wrong_tokens_each, rates.wrong_tokens, rates.patience_s, clock)
    each = Throttles(rates.requests_each, rates.requests, rates.patience_s, clock)
    return access(verifier, scopes, failures, each, Revocations(home_folder() / REVOKED, clock))


def _portraits(manifest: Manifest, default: str | None) -> Gallery | None:
    """Read the portraits shown while the engines load; None if a bundle is damaged, which the worker reports."""
    try:
        first = find_avatar(manifest, default or default_name(manifest)).name
        return Gallery.load(manifest, dict.fromkeys([first, *list_avatars(manifest)]), first)
    except BundleError:
        return None


def open_recordings(manifest: Manifest, record: RecordOptions) -> Recordings | None:
    """Open the recordings of all sessions, or return None if recording is off. Raises ConfigError or MediaError."""
    return None if record.performance is None else Recordings(record.performance, manifest, note)


def on_stray_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an unhandled error of a task; the one aiortc raises when a call ends while connecting is logged as debug."""
    if isinstance(context.get("exception"), InvalidStateError):
        logger.debug("%s", context["exception"])
    else:
        loop.default_exception_handler(context)


def not_the_clients(record: logging.LogRecord) -> bool:
    """Return False for log records of malformed requests, which got a 400, and of clients that hung up: drop these."""
    clients = (HttpProcessingError, ClientConnectionResetError)
    return record.exc_info is None or not isinstance(record.exc_info[1], clients)
