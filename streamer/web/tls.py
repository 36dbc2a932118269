"""The server's own certificate, taken anew when its files change: who renews it need not start the server again."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from streamer.core.aio import Clock
from streamer.core.errors import ConfigError

LOOK_S = 30.0  # between two looks at the files

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate chain and its key, both PEM. `context` is for connections; it holds through renewals."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Raises ConfigError: a file cannot be read, is none of these, or the two do not belong together."""
        self._chain, self._key = chain, key
        self._seen = self._stamp()
        self.context = self._load(_context())

    def renew(self) -> bool:
        """Take the files if they have changed; whether they were. What cannot be used is logged, and the old holds."""
        try:
            if (stamp := self._stamp()) == self._seen:
                return False
            self._load(_context())  # a chain without its key would leave the one in use half changed
            self._load(self.context)
        except ConfigError as error:
            logger.error("%s; the certificate before goes on", error)
            return False
        self._seen = stamp
        logger.info("%s: a renewed certificate is in use", self._chain)
        return True

    async def watch(self, clock: Clock) -> None:
        """Renew for ever."""
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
