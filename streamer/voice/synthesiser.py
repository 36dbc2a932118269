"""What a synthesiser is, and what it is given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from streamer.core.errors import VoiceError

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
SHORT = 10  # characters: a sentence this short is spoken with the next


@dataclass(frozen=True)
class Spoken:
    """Speech: mono s16le PCM at `rate`."""

    pcm: bytes
    rate: int


class Synthesiser(Protocol):
    """Speaks text."""

    async def speak(self, text: str, language: str) -> Spoken:
        """Speak a text of printable characters, in a language as LANGUAGE has it.

        Raises:
            VoiceError: it cannot be spoken, or not now.
        """

    async def close(self) -> None:
        """Let go of what it holds."""


def check_language(language: str) -> str:
    """A language as it is asked for. Raises VoiceError."""
    if not LANGUAGE.fullmatch(language):
        raise VoiceError(f"language is {language[:20]!r}, expected one such as en or pt-br")
    return language


def sentences(text: str) -> list[str]:
    """The sentences of a text; the first is heard while the others are still made."""
    found: list[str] = []
    for part in filter(None, (part.strip() for part in _SENTENCE_END.split(text))):
        if found and len(found[-1]) < SHORT:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found
