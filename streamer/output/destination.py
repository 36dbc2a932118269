"""Destination of `--output`: a stream's address or a file name, parsed and checked before anything is opened.

FFmpeg supports many protocols, some of which read or write files, use proxies or take commands in their addresses. Only
the protocols named here are allowed, and a file is always opened as a file, whatever its name looks like.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from engines.files import partial_path
from streamer.core.errors import ConfigError, MediaError
from streamer.core.files import check_output

MPEGTS, FLV, MP4, MATROSKA, WEBM = "mpegts", "flv", "mp4", "matroska", "webm"
WHIP = "whip"  # not a container, and not handled by FFmpeg

SCHEMES = {"udp": MPEGTS, "tcp": MPEGTS, "rtmp": FLV, "rtmps": FLV}
WHIP_SCHEMES = ("whip+https", "whip+http")
SUFFIXES = {".mp4": MP4, ".mkv": MATROSKA, ".webm": WEBM, ".ts": MPEGTS, ".flv": FLV}

LONGEST = 2_000  # characters of an address; stream keys have some hundreds
PACKET = 1316  # bytes of UDP: seven packets of MPEG-TS, which fit into an Ethernet frame

_EXPECTED = (
    "expected udp://HOST:PORT, rtmp://HOST/APP/KEY, whip+https://HOST/PATH or a file's name that ends in "
    + ", ".join(SUFFIXES)
)
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Destination:
    """A checked destination. name: for display, without a stream's key; path: of a file, None for a stream.

    url: for FFmpeg, or for a WHIP client. partial: temporary path at which a file is written.
    """

    url: str
    name: str
    container: str
    path: Path | None = None
    partial: Path | None = None

    @property
    def live(self) -> bool:
        """Whether this is a live stream, for which late pictures are useless."""
        return self.path is None

    @property
    def alpha(self) -> bool:
        """Whether pictures may be transparent."""
        return self.container == WEBM

    def keep(self) -> None:
        """Move a file to its final name. Raises OSError, also if that was done before."""
        if self.partial is not None and self.path is not None:
            self.partial.replace(self.path)

    @staticmethod
    def parse(text: str) -> Destination:
        """Parse an address if the text contains `://`, else a file name.

        Raises:
            ConfigError: an address that no stream can be sent to, or a file of an unknown kind.
            MediaError: the file exists, or its folder does not.
        """
        return _address(text) if "://" in text else _file(text)


def _file(text: str) -> Destination:
    path = Path(text)
    container = SUFFIXES.get(path.suffix.lower())
    if container is None:
        raise ConfigError(f"--output {text}: {_EXPECTED}")
    check_output(path)
    if path.exists():
        raise MediaError(f"{path}: exists already; choose another name, or delete it")
    partial = partial_path(path)
    return Destination(f"file:{partial}", str(path), container, path, partial)


def _address(text: str) -> Destination:
    scheme = text.partition("://")[0].lower()
    if scheme == "srt":
        raise ConfigError(
            "--output srt://..: the FFmpeg inside PyAV has no SRT; send to udp://127.0.0.1:PORT and let a program that "
            "has it pass the stream on: `ffmpeg -i udp://127.0.0.1:PORT -c copy -f mpegts 'srt://..'`"
        )
    if scheme not in (*SCHEMES, *WHIP_SCHEMES):
        raise ConfigError(f"--output {scheme}://..: no such output; {_EXPECTED}")
    if len(text) > LONGEST or not _PRINTABLE.fullmatch(text):
        raise ConfigError(f"--output {scheme}://..: an address of at most {LONGEST} letters and signs expected")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"--output {scheme}://..: not an address ({error})") from None
    if not host or port == 0:
        raise ConfigError(f"--output {text.partition('?')[0]}: no host in it to send to, such as 127.0.0.1")
    if scheme in WHIP_SCHEMES:
        return _whip(scheme, text, parts)
    return _rtmp(scheme, text, parts) if SCHEMES[scheme] == FLV else _transport(scheme, parts)


def _whip(scheme: str, text: str, parts: SplitResult) -> Destination:
    if scheme == "whip+http" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(f"--output {scheme}://..: unencrypted only to this machine; expected whip+https://..")
    if parts.username is not None:
        raise ConfigError(f"--output {scheme}://..: no password in the address; its token goes into AVATAR_WHIP_TOKEN")
    hidden = "?…" if parts.query else ""
    return Destination(text.partition("+")[2], f"{scheme}://{parts.netloc}{parts.path}{hidden}", WHIP)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _transport(scheme: str, parts: SplitResult) -> Destination:
    if parts.port is None or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(f"--output {scheme}://..: expected {scheme}://HOST:PORT and nothing more")
    host = parts.netloc.rpartition(":")[0]
    name = f"{scheme}://{host}:{parts.port}"
    return Destination(f"{name}?pkt_size={PACKET}" if scheme == "udp" else name, name, MPEGTS)


def _rtmp(scheme: str, text: str, parts: SplitResult) -> Destination:
    app, _, key = parts.path.strip("/").partition("/")
    if not app:
        raise ConfigError(f"--output {scheme}://..: expected {scheme}://HOST/APP/KEY, as the service says")
    place = parts.netloc.rpartition("@")[2]
    return Destination(text, f"{scheme}://{place}/{app}" + "/…" * bool(key), FLV)
