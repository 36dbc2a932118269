"""Altered copies of what an honest client sends, each by a generator of its own, so that one case can be had again."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

LONG = 20_000
WORDS = (
    "", "\0", "\r\n", "%00", "%0d%0a", "../../etc/passwd", "{}", "[", '"', "'", "${x}", "%s%n", "-1", "0", "1e999",
    "99999999999999999999", "nan", "ü", "\u202e", "🙂", "a=", "m=", "UDP/TLS/RTP/SAVPF", "::1", "127.0.0.1", "x" * 300,
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2**31, 2**63, -(2**63), 10**30, 1e308, -0.5, 3.7)
BYTES = (b"", b"\0", b"\xff\xff\xff\xff", b"\r\n\r\n", b"\x80\x00", b"\x7f\xff", b"\xf8", b"%", bytes(64))


class Mutator:
    """One mutated case: all that is random comes from `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def bytes(self, data: bytes, most: int = 4) -> bytes:
        """One to `most` alterations of single bytes and pieces."""
        found = bytearray(data)
        for _ in range(self.random.randint(1, most)):
            self._alter(found)
        return bytes(found)

    def _alter(self, data: bytearray) -> None:
        random = self.random
        first = random.randint(0, len(data))
        last = min(len(data), first + int(random.expovariate(1 / 16)))
        alterations: tuple[Callable[[], object], ...] = (
            lambda: data.__setitem__(slice(first, last), b""),
            lambda: data.__setitem__(slice(first, first), data[first:last] * random.randint(1, 64)),
            lambda: data.__setitem__(slice(first, last), random.choice(BYTES)),
            lambda: data.__setitem__(slice(first, last), random.randbytes(last - first)),
            lambda: data.__setitem__(slice(first, None), b""),
            lambda: self._flip(data),
        )
        random.choices(alterations, (2, 1, 2, 2, 1, 4))[0]()

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)

    def text(self, text: str) -> str:
        """A word put in, or in the place of a part; sometimes a very long one."""
        random = self.random
        word = "x" * LONG if random.random() < 0.02 else random.choice(WORDS)
        first = random.randint(0, len(text))
        last = random.choice((first, len(text), min(len(text), first + 3)))
        return text[:first] + word + text[last:]

    def lines(self, text: str) -> str:
        """Of SDP, and what else has lines: some left out, doubled, moved, or with other words in them."""
        random, lines = self.random, text.splitlines()
        for _ in range(random.randint(1, 4)):
            if not lines:
                break
            place = random.randrange(len(lines))
            match random.choices(("drop", "double", "move", "word", "text", "cut"), (3, 2, 2, 5, 4, 1))[0]:
                case "drop":
                    del lines[place]
                case "double":
                    lines[place:place] = [lines[place]] * random.choice((1, 1, 1, 50))
                case "move":
                    lines.insert(random.randint(0, len(lines)), lines.pop(place))
                case "word":
                    words = lines[place].split(" ")
                    words[random.randrange(len(words))] = random.choice((*WORDS, str(random.choice(NUMBERS))))
                    lines[place] = " ".join(words)
                case "text":
                    lines[place] = self.text(lines[place])
                case "cut":
                    del lines[place:]
        return random.choice(("\r\n", "\r\n", "\r\n", "\n", "\r")).join([*lines, ""])

    def json(self, value: Any) -> str:
        """A JSON text with another structure, other values or none at all."""
        random = self.random
        match random.randrange(6):
            case 0:
                return self.text(json.dumps(value))
            case 1:
                return "[" * random.choice((10, 500)) + json.dumps(value)
            case _:
                return json.dumps(self._other(value))

    def _other(self, value: Any) -> Any:
        random = self.random
        if isinstance(value, dict) and value and random.random() < 0.9:
            key = random.choice(list(value))
            match random.randrange(5):
                case 0:
                    return {name: kept for name, kept in value.items() if name != key}
                case 1:
                    return value | {random.choice(WORDS): value[key]}
                case _:
                    return value | {key: self._other(value[key])}
        kinds = (None, True, random.choice(NUMBERS), random.choice(WORDS), [value] * 3, {"a": value}, float("nan"))
        return random.choice(kinds)
