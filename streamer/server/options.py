"""Options of `avatar serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.core.limits import PhotoLimits
from streamer.core.options import DEFAULT_THREADS, NOTHING, PLAIN_FACE, FaceOptions, RecordOptions
from streamer.realtime.settings import RealtimeSettings
from streamer.web.listen import is_loopback


@dataclass(frozen=True)
class ServeOptions:
    """Options of `avatar serve`. family: a family folder; None means the one shipped with the package.

    max_sessions: None means the machine's measured capacity.
    token_keys: public keys to verify tokens with (`access.secret`); empty if no token is required.
    invitation: a token to print with the address.
    lookahead_ms, face: defaults for sessions that do not choose their own; None is `lookahead.live_lookahead_ms`.
    """

    host: str = "localhost"
    port: int = 8080
    family: Path | None = None
    avatar: str | None = None
    lookahead_ms: int | None = None
    face: FaceOptions = PLAIN_FACE
    threads: int = DEFAULT_THREADS
    max_sessions: int | None = None
    record: RecordOptions = NOTHING
    photos: bool = True  # allow making avatars on the page (without tokens: from this machine only)
    token_keys: tuple[str, ...] = ()
    invitation: str | None = None
    cert: Path | None = None  # needs `key`, too; None: no TLS
    key: Path | None = None
    public_url: str | None = None  # the server's public address, ending in a slash
    trusted_proxies: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()  # addresses of TURN servers; see `webrtc.turn_credentials`
    turn_secret: Path | None = None
    udp_ports: tuple[int, int] | None = None  # range for sound and pictures, first and last; None: any
    public_ip: str | None = None  # see `webrtc.public_ip`
    access_log: bool = False
    voice: str = "espeak"  # see `voice.choice`
    badge: bool | None = None  # "AI-generated" in all pictures; None: only if others can reach the server
    photo_days: int = PhotoLimits.kept_days  # days that visitors' photos are kept
    allowed_origins: tuple[str, ...] = ()  # other sites whose pages may use the server
    realtime: RealtimeSettings | None = None  # voice agent; None: faces speak the microphone's sound

    @property
    def local(self) -> bool:
        """Whether the server is for its own machine only."""
        return is_loopback(self.host) and self.public_url is None

    @property
    def shows_badge(self) -> bool:
        """Whether pictures have the badge; by default, if others than this machine's user can see them."""
        return not self.local if self.badge is None else self.badge
