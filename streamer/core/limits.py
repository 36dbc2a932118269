"""Limits of the live server: sizes, timeouts and queue lengths, each defined once, with its reason.

Times are in seconds unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on requests of a client, and on how long the server waits for it."""

    max_sdp_bytes: int = 64 * 1024  # a browser's audio+video offer is 4-8 kB; checked before parsing
    max_sdp_lines: int = 500  # a browser's offer has 100 to 250; each takes 0.03 ms to parse
    max_media_sections: int = 8
    max_candidates: int = 64  # each remote candidate costs connectivity checks
    negotiate_s: float = 10.0  # answering an offer; gathering loopback candidates takes milliseconds
    ice_s: float = 8.0  # from the answer to the first working path to the peer (ICE); takes 0.1 to 2 s
    connect_s: float = 15.0  # from then until DTLS is up
    reserve_s: float = 1.0  # without ICE, then the session's place goes to the next caller if no other is free ...
    secure_s: float = 5.0  # ... with ICE, but without DTLS
    silent_s: float = 10.0  # a session for pushed speech without a client; then its place goes likewise ...
    unspoken_s: float = 30.0  # ... and one whose client says nothing
    gone_s: float = 12.0  # without any packet; a browser sends a check every few seconds at least
    no_media_s: float = 30.0  # a connected peer without a microphone packet: its tab is frozen or gone
    max_session_s: float = 4 * 3600.0  # forgotten tabs must free their place
    close_s: float = 1.0  # to close one peer connection; after that it is left to the garbage collector
    shutdown_s: float = 1.5  # from SIGTERM until everything has ended
    retry_after_s: int = 5  # for a client refused because the server is full ...
    next_after_s: int = 2  # ... and for the next one in the queue


@dataclass(frozen=True)
class RateLimits:
    """Rate limits of requests: (per second, burst). Above them requests wait; one that would wait too long is refused.

    A page with its portraits is about 20 requests. An answer without work costs 0.4 ms of the event loop.
    """

    requests_each: tuple[float, int] = (40.0, 80)  # from one address, for any route
    requests: tuple[float, int] = (60.0, 160)  # from all addresses
    offers_each: tuple[float, int] = (4.0, 8)  # offers that are parsed, valid or not: up to 20 ms
    offers: tuple[float, int] = (8.0, 16)
    sessions_each: tuple[float, int] = (2.0, 8)  # sessions that are opened; each costs keys, sockets, a stream
    sessions: tuple[float, int] = (4.0, 16)
    pictures_each: tuple[float, int] = (6.0, 24)  # portraits on a background that is not cached: 5 ms
    pictures: tuple[float, int] = (10.0, 40)
    figures_each: tuple[float, int] = (4.0, 8)  # GET /metrics: 7 ms
    figures: tuple[float, int] = (6.0, 8)
    wrong_tokens_each: tuple[float, int] = (1.0, 10)  # rejected tokens; checking one costs 0.2 ms
    wrong_tokens: tuple[float, int] = (20.0, 100)
    patience_s: float = 4.0  # longest wait of a request


RATES = RateLimits()


@dataclass(frozen=True)
class SpeechLimits:
    """Limits for a client that pushes speech. Exceeding a rate ends its connection, never the session."""

    message_bytes: int = 128 * 1024  # checked from the header, before reading; 0.7 s of 48 kHz stereo
    control_bytes: int = 1024  # of a text message, checked before parsing
    buffered_s: float = 60.0  # queued speech; more is refused (11.5 MB at most)
    bytes_per_s: float = 4e6  # 20 times real time at the highest rate ...
    burst_bytes: float = 16e6  # ... and a full buffer in one burst
    messages_per_s: float = 1_000.0  # 20 times real time in pieces of 20 ms ...
    burst_messages: float = 3_000.0  # ... and a full buffer in one burst
    utterances: int = 64  # started and not yet played to the end
    mistakes: int = 16  # refused messages; then the connection is closed
    greet_s: float = 10.0  # from the connection to its hello message
    queued_events: int = 256  # for a client that does not read


@dataclass(frozen=True)
class PhotoLimits:
    """Limits on photos that a page uploads to make avatars."""

    bytes: int = 24 << 20  # counted on arrival; a phone's photo is 2 to 12 MB
    arrive_s: float = 60.0
    make_s: float = 60.0  # takes one or two seconds on an idle machine
    load_s: float = 30.0  # for the inference process to load it
    avatars: int = 100  # each is read and checked when the server starts
    each: int = 100  # per visitor
    kept_days: int = 30  # default lifetime of a visitor's avatar


@dataclass(frozen=True)
class WorkerLimits:
    """Limits of the inference process: start and stop times, silence, queues."""

    start_s: float = 180.0  # loading and compiling the graphs on a slow machine
    hung_s: float = 10.0  # without a sign of life; it sends one every second, and a frame takes far less
    stop_s: float = 0.5  # to end by itself before it is killed
    restarts: int = 3  # in a row that fail before the process is warm; then the server stays unhealthy
    queued_messages: int = 400  # to the worker: 2 s of sound of four sessions; the newest is dropped and counted
    due_frames: int = 50  # windows waiting for the renderer, per session: 2 s; the oldest is dropped and counted
    ring_slots: int = 32  # pictures in shared memory: 8 each for four sessions; the oldest is overwritten
