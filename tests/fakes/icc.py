"""Colour profiles (ICC.1:2004), made from numbers: RGB by primaries, grey by gamma, CMYK by a table."""

from __future__ import annotations

import itertools
import struct

import numpy as np

# xy of red, green, blue as the profiles hold them, white D65; gamma.
ADOBE_RGB = (((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), 563 / 256)
DISPLAY_P3 = (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), 2.2)
SRGB = (((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), 2.2)
_D65, _D50 = (0.9505, 1.0, 1.0891), (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def rgb_profile(space: tuple[tuple[tuple[float, float], ...], float]) -> bytes:
    """A profile of three primaries under D65 and one gamma."""
    primaries, gamma = space
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in primaries]).T
    adapted = np.diag(_BRADFORD @ _D50 / (_BRADFORD @ _D65))
    matrix = np.linalg.inv(_BRADFORD) @ adapted @ _BRADFORD @ (columns * np.linalg.solve(columns, np.array(_D65)))
    tags = {f"{name}XYZ": _xyz(matrix[:, i]) for i, name in enumerate("rgb")}
    return _profile("RGB ", "XYZ ", tags | {f"{name}TRC": _gamma(gamma) for name in "rgb"})


def grey_profile(gamma: float) -> bytes:
    """A profile of grey with a gamma."""
    return _profile("GRAY", "XYZ ", {"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """Inks that take away red, green, blue and all light, in steps of Lab from white to black: a table of corners."""
    corners = []
    for inks in itertools.product((0, 1), repeat=4):
        black = inks[3]
        lightness = 0 if black else 255 - 60 * sum(inks[:3])
        corners += [lightness, 128 + 60 * (inks[1] - inks[0]) * (not black), 128 + 60 * inks[2] * (not black)]
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + bytes(corners) + ramp * 3
    return _profile("CMYK", "Lab ", {"A2B0": table}, kind="prtr")


def _xyz(values: object) -> bytes:
    numbers = [round(float(value) * 65536) for value in np.asarray(values)]
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *numbers)


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))


def _text(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)


def _profile(space: str, connection: str, tags: dict[str, bytes], kind: str = "mntr") -> bytes:
    tags = {"desc": _text(b"test"), "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz(_D50)} | tags
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", start + len(body), len(content))
        body += padded
    head = bytearray(128)
    head[0:4] = struct.pack(">I", start + len(body))
    head[8:12] = b"\x02\x40\0\0"
    head[12:24] = kind.encode() + space.encode() + connection.encode()
    head[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head[36:40] = b"acsp"
    head[68:80] = _xyz(_D50)[8:]
    return bytes(head) + table + body
