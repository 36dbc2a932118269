"""The server's TLS certificate, reloaded when its files change, so a renewal needs no restart."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from streamer.core.aio import Clock
from streamer.core.errors import ConfigError

LOOK_S = 30.0  # between two checks of the files

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key, both PEM. `context` is for connections and stays valid across renewals."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Raises ConfigError: a file cannot be read or is not PEM, or the key does not match the certificate."""
        self._chain, self._key = chain, key
        self._seen = self._stamp()
        self.context = self._load(_context())

    def renew(self) -> bool:
        """Reload changed files; return whether a new certificate is in use. On an error, log it and keep the old."""
        try:
            if (stamp := self._stamp()) == self._seen:
                return False
            self._load(_context())  # test first: a mismatched pair would leave `context` half changed
            self._load(self.context)
        except ConfigError as error:
            logger.error("%s; the certificate before goes on", error)
            return False
        self._seen = stamp
        logger.info("%s: a renewed certificate is in use", self._chain)
        return True

    async def watch(self, clock: Clock) -> None:
        """Check for a renewed certificate periodically, for ever."""
        while True:
            await clock.sleep_until(clock.now() + LOOK_S)
            self.renew()

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        try:
            found = [path.stat() for path in (self._chain, self._key)]
        except OSError as error:
            raise ConfigError(f"{error.filename}: cannot be read ({error.strerror})") from None
        return tuple((each.st_mtime_ns, each.st_ino) for each in found)

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        try:
            context.load_cert_chain(self._chain, self._key, password=_no_password)
        except ssl.SSLError as error:
            raise ConfigError(
                f"--cert {self._chain} --key {self._key}: not a PEM certificate with its key ({error.reason or error})"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"--cert {self._chain} --key {self._key}: cannot be read ({reason})") from None
        return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    raise ValueError("the key has a password; expected one without")
