"""Write glTF 2.0 in its binary form (GLB, https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html)."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPONENTS = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
MAGIC, VERSION, JSON, BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942

Array = NDArray[Any]
Json = dict[str, Any]


class Glb:
    """A glTF document under construction. document: its JSON."""

    def __init__(self) -> None:
        self.document: Json = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": []}
        self._data = bytearray()

    def accessor(self, values: Array, normalized: bool = False, bounds: bool = False) -> int:
        """Add values [n] or [n, c]; return the accessor's number. bounds: store minimum and maximum, for positions."""
        flat = np.ascontiguousarray(values)
        found = self._described(flat) | {"bufferView": self.view(flat.tobytes())}
        if normalized:
            found["normalized"] = True
        if bounds:
            found |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        return self.add("accessors", found)

    def sparse(self, values: Array, least: float) -> int:
        """Add float32 [n, 3] as a sparse accessor: rows shorter than `least` become zero; return its number."""
        rows = np.flatnonzero(np.linalg.norm(values, axis=1) >= least).astype(np.uint16)
        kept = np.zeros_like(values)
        kept[rows] = values[rows]
        found = self._described(values) | {"min": kept.min(0).tolist(), "max": kept.max(0).tolist()}
        if len(rows):
            found["sparse"] = {
                "count": len(rows),
                "indices": {"bufferView": self.view(rows.tobytes()), "componentType": COMPONENTS["uint16"]},
                "values": {"bufferView": self.view(np.ascontiguousarray(values[rows]).tobytes())},
            }
        return self.add("accessors", found)

    def image(self, data: bytes, kind: str) -> int:
        """Add a picture file, `image/png` or `image/jpeg`, and a texture of it; return the texture's number."""
        source = self.add("images", {"bufferView": self.view(data), "mimeType": kind})
        return self.add("textures", {"source": source})

    def view(self, data: bytes) -> int:
        """Add bytes; return the number of their buffer view."""
        self._data += bytes(-len(self._data) % 4)
        found = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
        self._data += data
        return self.add("bufferViews", found)

    def file(self) -> bytes:
        """Return the document as the bytes of a GLB file."""
        self._data += bytes(-len(self._data) % 4)
        text = json.dumps(
            self.document | {"buffers": [{"byteLength": len(self._data)}]}, separators=(",", ":")
        ).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), JSON) + text + struct.pack("<II", len(self._data), BINARY) + self._data
        return struct.pack("<III", MAGIC, VERSION, 12 + len(chunks)) + chunks

    def add(self, kind: str, item: Json) -> int:
        """Add an item to one of the lists of the document; return its number."""
        items: list[Json] = self.document.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    @staticmethod
    def _described(values: Array) -> Json:
        width = 1 if values.ndim == 1 else values.shape[1]
        return {"componentType": COMPONENTS[str(values.dtype)], "count": len(values), "type": TYPES[width]}
