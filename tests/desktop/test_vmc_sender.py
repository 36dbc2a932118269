"""What a VRM program is sent, read back by another OSC library than the one that wrote it."""

from __future__ import annotations

import contextlib
import math
import socket
from typing import Any

import numpy as np
import pytest
from oscpy.parser import read_packet

from streamer.core.errors import ConfigError, DeviceError
from streamer.core.units.arkit import ARKIT
from streamer.core.units.numbers import packed
from streamer.desktop.vmc_sender import MOST_BYTES, VmcSender, quaternion
from streamer.session.numbers import NumberNames

NAMES = NumberNames(tuple(sorted(ARKIT)), ("pitch", "yaw", "roll", "tx", "ty", "tz"))


@pytest.fixture
def program() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        yield receiver


def received(program: socket.socket) -> list[tuple[str, list[Any]]]:
    """Messages up to and with `Apply`, in order."""
    found: list[tuple[str, list[Any]]] = []
    while not found or found[-1][0] != "/VMC/Ext/Blend/Apply":
        packet = program.recv(65_536)
        assert len(packet) <= MOST_BYTES
        for address, _, values, _ in read_packet(packet):
            plain = [value.decode() if isinstance(value, bytes) else value for value in values]
            found.append((address.decode(), plain))
    return found


def test_a_frame_is_read_back_as_it_was_sent(program: socket.socket) -> None:
    values = np.linspace(-0.1, 1.1, 52).astype(np.float32)
    head = np.array([4.0, -6.0, 2.0, 0.01, 0.0, 0.0], np.float32)
    host, port = program.getsockname()
    with VmcSender(host, port, NAMES) as sender:
        sender.show(50, packed(np.concatenate([values, head])))
    messages = received(program)
    assert messages[:2] == [("/VMC/Ext/OK", [1]), ("/VMC/Ext/T", [2.0])]
    blends = dict(values for address, values in messages if address == "/VMC/Ext/Blend/Val")
    assert tuple(blends) == NAMES.expression
    assert list(blends.values()) == pytest.approx(np.clip(values, 0, 1), abs=1e-6)
    bones = {values[0]: values[1:] for address, values in messages if address == "/VMC/Ext/Bone/Pos"}
    assert set(bones) == {"Head", "Neck"}
    assert bones["Head"] == pytest.approx([0, 0, 0, *quaternion(2.4, -3.6, 1.2)], abs=1e-6)


def test_the_head_turns_the_way_that_the_face_does() -> None:
    half = math.radians(5)
    assert quaternion(10, 0, 0) == pytest.approx((math.sin(half), 0, 0, math.cos(half)))  # down, about x
    assert quaternion(0, 10, 0) == pytest.approx((0, -math.sin(half), 0, math.cos(half)))  # to the left, about -y
    assert quaternion(0, 0, 10) == pytest.approx((0, 0, math.sin(half), math.cos(half)))
    assert np.linalg.norm(quaternion(7, -8, 5)) == pytest.approx(1)


def test_a_program_that_is_not_there_harms_nothing() -> None:
    with VmcSender("127.0.0.1", 9, NAMES) as sender:
        for frame in range(3):
            with contextlib.suppress(DeviceError):  # the machine may tell that nobody listens
                sender.show(frame, NAMES.nothing)


def test_an_unknown_address_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"--vmc no\.such\.host\.invalid:39539: ") as error:
        VmcSender("no.such.host.invalid", 39539, NAMES)
    assert "\n" not in str(error.value)
