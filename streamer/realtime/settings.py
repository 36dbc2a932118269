"""Address, key and session settings of the backend: `avatar serve --realtime`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from streamer.core.errors import ConfigError

KEY_VARIABLE = "AVATAR_REALTIME_KEY"
OPENAI_HOST, OPENAI_KEY_VARIABLE = "api.openai.com", "OPENAI_API_KEY"
MOST_SESSION_BYTES = 256 * 1024


@dataclass(frozen=True)
class RealtimeSettings:
    """Settings of a backend. `url`: its WebSocket. `key`: API key, or "". `session`: fields of `session.update`."""

    url: str
    key: str = field(default="", repr=False)
    session: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Host and port for messages; the full address may hold secrets in its query."""
        return urlsplit(self.url).netloc


def read_settings(url: str, session: Path | None, environment: Mapping[str, str]) -> RealtimeSettings:
    """Return the settings from an address, a JSON file and the key in the environment.

    Raises:
        ConfigError: the address or the file is not usable, or the key would be sent unencrypted.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises where it is none
    except ValueError as error:
        raise ConfigError(f"--realtime: {error}") from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise ConfigError(f"--realtime is {parts.scheme or url[:20]!r}, expected an address ws://... or wss://...")
    if parts.username or parts.password or parts.fragment:
        raise ConfigError(f"--realtime: no user, password or fragment in the address; set {KEY_VARIABLE}")
    key = environment.get(KEY_VARIABLE, "")
    if not key and host == OPENAI_HOST:
        key = environment.get(OPENAI_KEY_VARIABLE, "")
        if not key:
            raise ConfigError(f"{host} needs a key: set {KEY_VARIABLE} or {OPENAI_KEY_VARIABLE} in the environment")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{KEY_VARIABLE} is not a key: it has blanks or signs that a key cannot have")
    if key and parts.scheme == "ws" and not _is_here(host):
        raise ConfigError(f"the key would be sent to {host} unencrypted; use wss://, or unset {KEY_VARIABLE}")
    return RealtimeSettings(url, key, _read_session(session) if session is not None else {})


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_session(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_SESSION_BYTES:
            raise ConfigError(f"{path}: larger than {MOST_SESSION_BYTES} bytes")
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}; expected a JSON object, the `session` of session.update") from None
    return found
