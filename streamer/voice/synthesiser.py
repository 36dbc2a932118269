"""The interface of a synthesiser, and the preparation of its input: language and sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from streamer.core.errors import VoiceError

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
SHORT = 10  # characters: a shorter sentence is joined with the next one


@dataclass(frozen=True)
class Spoken:
    """Speech: mono s16le PCM at `rate`."""

    pcm: bytes
    rate: int


class Synthesiser(Protocol):
    """Text to speech."""

    async def speak(self, text: str, language: str) -> Spoken:
        """Speak a text of printable characters in a language that matches LANGUAGE.

        Raises:
            VoiceError: it cannot be spoken, or not at the moment.
        """

    async def close(self) -> None:
        """Release its resources."""


def check_language(language: str) -> str:
    """Return a requested language unchanged if it is valid. Raises VoiceError."""
    if not LANGUAGE.fullmatch(language):
        raise VoiceError(f"language is {language[:20]!r}, expected one such as en or pt-br")
    return language


def sentences(text: str) -> list[str]:
    """Split a text into sentences, so that the first can be played while the others are synthesised."""
    found: list[str] = []
    for part in filter(None, (part.strip() for part in _SENTENCE_END.split(text))):
        if found and len(found[-1]) < SHORT:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return found
