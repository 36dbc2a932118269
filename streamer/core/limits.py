"""Limits of the live server: sizes, time-outs and lengths of queues. Each is defined once and says what it protects.

Seconds unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the server, and how long the server waits for it."""

    max_sdp_bytes: int = 64 * 1024  # an audio+video offer of a browser is 4-8 kB; refused before it is parsed
    max_sdp_lines: int = 500  # a browser's has 100 to 250; each takes 0.03 ms to be parsed
    max_media_sections: int = 8
    max_candidates: int = 64  # each remote candidate costs connectivity checks
    negotiate_s: float = 10.0  # answering an offer; gathering loopback candidates takes milliseconds
    ice_s: float = 8.0  # from the answer to the first way to the peer that works (ICE); it takes 0.1 to 2 s
    connect_s: float = 15.0  # from then to DTLS being up
    reserve_s: float = 1.0  # without ICE: from then on the place is the next caller's, if no other is free ...
    secure_s: float = 5.0  # ... with ICE, but without DTLS
    silent_s: float = 10.0  # a session for pushed speech without a client; then likewise ...
    unspoken_s: float = 30.0  # ... and one whose client says nothing
    gone_s: float = 12.0  # without a packet of any kind; a browser sends a check every few seconds at least
    no_media_s: float = 30.0  # a connected peer from which no microphone packet comes: its tab is frozen or gone
    max_session_s: float = 4 * 3600.0  # forgotten tabs give their place back
    close_s: float = 1.0  # closing one peer connection; then it is left to the garbage collector
    shutdown_s: float = 1.5  # from SIGTERM to having ended everything
    retry_after_s: int = 5  # told to a client for which there is no room ...
    next_after_s: int = 2  # ... and to the one whose turn it is next


@dataclass(frozen=True)
class RateLimits:
    """How fast requests are taken: (a second, at once). Who is faster waits for a turn, and is refused after that.

    A page with its portraits is some 20 requests. An answer without work costs 0.4 ms of the event loop.
    """

    requests_each: tuple[float, int] = (40.0, 80)  # from one address, for any route
    requests: tuple[float, int] = (60.0, 160)  # from all
    offers_each: tuple[float, int] = (4.0, 8)  # that are parsed, whatever comes of it: up to 20 ms
    offers: tuple[float, int] = (8.0, 16)
    sessions_each: tuple[float, int] = (2.0, 8)  # that get as far as being opened; each costs keys, sockets, a stream
    sessions: tuple[float, int] = (4.0, 16)
    pictures_each: tuple[float, int] = (6.0, 24)  # portraits on a background that is not remembered: 5 ms
    pictures: tuple[float, int] = (10.0, 40)
    figures_each: tuple[float, int] = (4.0, 8)  # GET /metrics: 7 ms
    figures: tuple[float, int] = (6.0, 8)
    wrong_tokens_each: tuple[float, int] = (1.0, 10)  # tokens that are not accepted; checking one costs 0.2 ms
    wrong_tokens: tuple[float, int] = (20.0, 100)
    patience_s: float = 4.0  # for a turn


RATES = RateLimits()


@dataclass(frozen=True)
class SpeechLimits:
    """Limits for a client that pushes speech. Exceeding a rate ends its connection, never the session."""

    message_bytes: int = 128 * 1024  # refused when it is announced, before any of it is read; 0.7 s of 48 kHz stereo
    control_bytes: int = 1024  # of a text message, before it is parsed
    buffered_s: float = 60.0  # speech that waits; more is refused (11.5 MB at most)
    bytes_per_s: float = 4e6  # 20 times real time at the highest rate ...
    burst_bytes: float = 16e6  # ... and all of a full buffer at once
    messages_per_s: float = 1_000.0  # 20 times real time in pieces of 20 ms ...
    burst_messages: float = 3_000.0  # ... and all of a full buffer at once
    utterances: int = 64  # begun and not yet heard to the end
    mistakes: int = 16  # refused messages; then the connection is closed
    greet_s: float = 10.0  # from the connection to hello
    queued_events: int = 256  # to a client that does not read


@dataclass(frozen=True)
class PhotoLimits:
    """What a page may send to have an avatar made of it."""

    bytes: int = 24 << 20  # counted as they arrive; a telephone's photo is 2 to 12 MB
    arrive_s: float = 60.0
    make_s: float = 60.0  # it takes one or two seconds on a quiet machine
    load_s: float = 30.0  # for the inference process to have it ready
    avatars: int = 100  # each is loaded when the server starts
    each: int = 100  # of one visitor
    kept_days: int = 30  # a visitor's, unless the server is told otherwise


@dataclass(frozen=True)
class WorkerLimits:
    """What the inference process may take and how long it may be silent."""

    start_s: float = 180.0  # loading and compiling the graphs on a slow machine
    hung_s: float = 10.0  # without a sign of life; it sends one every second and a frame takes far less
    stop_s: float = 0.5  # to end by itself, then it is killed
    restarts: int = 3  # in a row without having become warm; then the server stays unhealthy
    queued_messages: int = 400  # to the worker: 2 s of sound of four sessions; the newest message is dropped, counted
    due_frames: int = 50  # windows waiting for the renderer, per session: 2 s; the oldest is dropped, counted
    ring_slots: int = 32  # finished pictures in shared memory: 8 each for four sessions; the oldest is overwritten
