"""The head that lies beside the example for VRM programs: its expressions are the units that a session tells."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from streamer.core.units.arkit import ARKIT
from tests import ROOT

HEAD = ROOT / "examples" / "vrm" / "head.vrm"
REQUIRED = {"hips", "spine", "head"} | {
    f"{side}{bone}"
    for side in ("left", "right")
    for bone in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
}


@pytest.fixture(scope="module")
def parts() -> tuple[dict[str, Any], bytes]:
    """The document of the file, and its binary chunk."""
    data = HEAD.read_bytes()
    assert struct.unpack_from("<4sII", data) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    rest, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert (kind, 28 + length + rest) == (b"BIN\0", len(data))
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def test_it_bears_the_units_and_bones_that_programs_look_for(parts: tuple[dict[str, Any], bytes]) -> None:
    document, _ = parts
    vrm = document["extensions"]["VRMC_vrm"]
    assert set(vrm["expressions"]["custom"]) == ARKIT
    assert set(vrm["humanoid"]["humanBones"]) >= REQUIRED
    names = document["meshes"][0]["extras"]["targetNames"]
    for unit, expression in vrm["expressions"]["custom"].items():
        (bind,) = expression["morphTargetBinds"]
        assert names[bind["index"]] == unit
        assert "mesh" in document["nodes"][bind["node"]]


def test_every_view_lies_in_the_file_and_each_unit_moves_the_skin(parts: tuple[dict[str, Any], bytes]) -> None:
    document, data = parts
    assert all(view["byteOffset"] + view["byteLength"] <= len(data) for view in document["bufferViews"])
    names = document["meshes"][0]["extras"]["targetNames"]
    moving = set()
    for primitive in document["meshes"][0]["primitives"]:
        assert len(primitive["targets"]) == len(names)
        count = document["accessors"][primitive["attributes"]["POSITION"]]["count"]
        for name, target in zip(names, primitive["targets"], strict=True):
            accessor = document["accessors"][target["POSITION"]]
            assert accessor["count"] == count
            if "sparse" in accessor:
                moving.add(name)
    assert moving == ARKIT
