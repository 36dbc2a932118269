"""The microphone's buffer in the place of aiortc's: it fits the installed version, and loss costs no delay."""

from __future__ import annotations

import random

import pytest
from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from streamer.core.errors import SessionError
from streamer.webrtc import audio_buffer
from streamer.webrtc.audio_buffer import MicrophoneBuffer

PTIME_MS = 20
PACKETS = 3000  # one minute


def packet(number: int) -> RtpPacket:
    made = RtpPacket(sequence_number=number & 0xFFFF, timestamp=number * 960)
    made._data = b"opus"  # type: ignore[attr-defined]
    return made


def delays_ms(buffer: JitterBuffer | MicrophoneBuffer, decoded: list[RtpPacket]) -> list[int]:
    """A minute of packets, one in a hundred lost: how long after its arrival each was handed to the decoder."""
    rng = random.Random(3)
    delays: list[int] = []
    for number in range(PACKETS):
        if rng.random() < 0.01:
            continue
        _, frame = buffer.add(packet(number))
        stamps = [item.timestamp for item in decoded] + ([frame.timestamp] if frame else [])
        decoded.clear()
        delays += [(number * 960 - stamp) // 48 for stamp in stamps]
    return delays


def test_one_percent_loss_costs_no_delay() -> None:
    """No packet waits for longer than one packet, and only what comes just behind a lost one waits at all."""
    decoded: list[RtpPacket] = []
    delays = delays_ms(MicrophoneBuffer(lambda ready, frame: decoded.append(ready)), decoded)
    assert max(delays) == PTIME_MS
    assert sum(delay > 0 for delay in delays) <= 2 * (PACKETS - len(delays))
    assert sum(delays) / len(delays) < 1.0


def test_the_buffer_it_replaces_grows() -> None:
    """Why it is replaced. When this fails, aiortc's own has learnt to shrink and ours may go."""
    delays = delays_ms(JitterBuffer(capacity=16, prefetch=4), [])
    assert sum(delays) / len(delays) > 150


async def test_it_takes_its_place_in_the_installed_aiortc() -> None:
    peer = RTCPeerConnection()
    receiver = peer.addTransceiver("audio").receiver
    buffer = audio_buffer.install(receiver)
    assert receiver._RTCRtpReceiver__jitter_buffer is buffer  # type: ignore[attr-defined]
    await peer.close()


def test_an_aiortc_built_otherwise_is_named_in_the_error() -> None:
    with pytest.raises(SessionError, match=r"aiortc has no RTCRtpReceiver\.__\w+.*install aiortc 1\.16"):
        audio_buffer.install(object())  # type: ignore[arg-type]
