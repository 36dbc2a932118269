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
    """What `avatar serve` was asked for. `family` is a family folder; None means the one shipped with the package.

    max_sessions: None is as many as the machine has the time for.
    token_keys: public keys that tokens are checked by, none where no token is asked for (`access.secret`).
    invitation: a token to be shown with the address.
    `lookahead_ms` and `face` hold for sessions that do not choose their own; None is `lookahead.live_lookahead_ms`.
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
    photos: bool = True  # avatars may be made on the page, from this machine only
    token_keys: tuple[str, ...] = ()
    invitation: str | None = None
    cert: Path | None = None  # and its key; None: no TLS
    key: Path | None = None
    public_url: str | None = None  # where others find it, with a slash at the end
    trusted_proxies: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()  # addresses of TURN servers; see `webrtc.turn_credentials`
    turn_secret: Path | None = None
    udp_ports: tuple[int, int] | None = None  # for sound and pictures, first and last; None: any
    public_ip: str | None = None  # see `webrtc.public_ip`
    access_log: bool = False
    voice: str = "espeak"  # see `voice.choice`
    badge: bool | None = None  # "AI-generated" in all pictures; None: where the server listens beyond this machine
    photo_days: int = PhotoLimits.kept_days  # how long those of visitors are kept
    allowed_origins: tuple[str, ...] = ()  # other sites whose pages may use the server
    realtime: RealtimeSettings | None = None  # who answers the microphones; None: the faces speak with their voices

    @property
    def local(self) -> bool:
        """Whether it is for its own machine only."""
        return is_loopback(self.host) and self.public_url is None

    @property
    def shows_badge(self) -> bool:
        """Whether pictures bear the badge: by default where others than this machine's user may see them."""
        return not self.local if self.badge is None else self.badge
