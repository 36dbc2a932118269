"""The background option: parsing and checks. It is a colour, the blurred portrait background, transparent, or none."""

from __future__ import annotations

import re

from streamer.core.errors import ConfigError

BLUR, TRANSPARENT, NONE = "blur", "transparent", "none"
EXPECTED = f"a colour such as #00b140, {BLUR}, {TRANSPARENT} or {NONE}"
_COLOUR = re.compile(r"#?([0-9a-f]{6})", re.ASCII)


def read(text: str) -> str | None:
    """Parse a background into `#rrggbb`, BLUR or TRANSPARENT; NONE becomes None, the portrait's own background.

    Raises:
        ValueError: another value; the message lists the expected ones.
    """
    plain = text.strip().lower()
    if plain == NONE:
        return None
    if plain in (BLUR, TRANSPARENT):
        return plain
    found = _COLOUR.fullmatch(plain)
    if found is None:
        raise ValueError(EXPECTED)
    return f"#{found[1]}"


def check(background: str | None) -> None:
    """Check a background passed from Python. Raises ConfigError."""
    try:
        if background is not None and read(background) is None:  # from Python, NONE is passed as None, not as text
            raise ValueError(EXPECTED)
    except ValueError as error:
        raise ConfigError(f"background {background!r}, expected {error}") from None


def changed(before: str | None, text: str | None) -> str | None:
    """Parse a new background for a running session. Raises ConfigError."""
    try:
        found = None if text is None else read(text)
    except ValueError as error:
        raise ConfigError(f"background is {str(text)[:20]!r}, expected {error}") from None
    if TRANSPARENT in (before, found) and before != found:
        raise ConfigError("a background is transparent from a session's beginning on, or never")
    return found


def colour_of(background: str) -> tuple[int, int, int]:
    """Return the RGB values, each 0 to 255, of a background that is a colour."""
    red, green, blue = bytes.fromhex(background.removeprefix("#"))
    return red, green, blue


def refuse_transparent(background: str | None, where: str) -> None:
    """Refuse a transparent background for an output without alpha, named `where`. Raises ConfigError."""
    if background == TRANSPARENT:
        raise ConfigError(
            f"{where} carries no transparency; the page /obs, the page of `avatar mic` and files that end in .webm do, "
            "or take a colour to be keyed out: --background '#00b140'"
        )
