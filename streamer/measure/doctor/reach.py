"""Checks of how clients reach the server: its port, access, certificate, and TURN servers, each asked for a relay."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from aioice.turn import create_turn_endpoint
from cryptography import x509

from streamer.core.errors import ConfigError
from streamer.measure.doctor.finding import Finding, fault, good, warning
from streamer.web.listen import is_loopback, listen
from streamer.web.tls import Certificate
from streamer.webrtc.turn_credentials import Turn

TURN_S = 5.0
RENEW_DAYS = 14
STANDARD = {"turn": 3478, "turns": 5349}


def port(host: str, number: int) -> Finding:
    """Check that the server's port is free. Raises ConfigError."""
    listen(host, number).close()
    return good("port", f"{number} on {host or 'all addresses'} is free")


def access(host: str, public_url: str | None, is_open: bool) -> Finding:
    """Report who may connect."""
    if is_loopback(host) and public_url is None:
        return good("access", "this machine only; --host 0.0.0.0 or --public-url lets others in, who then need a token")
    if is_open:
        return warning("access", "--open: whoever reaches the server may talk, and sees every face; leave it out")
    return good("access", "others need a token (`avatar token`)")


def certificate(chain: Path | None, key: Path | None, public: bool) -> Finding:
    """Check that the certificate fits its key and is valid. public: other machines connect. Raises ConfigError."""
    if chain is None or key is None:
        if public:
            return warning(
                "certificate", "none: browsers give other machines' pages no microphone; --cert and --key, or a proxy"
            )
        return good("certificate", "none is needed on localhost")
    Certificate(chain, key)
    found = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    left = (found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    if left < 0:
        return fault("certificate", f"{chain}: expired {-left} days ago; renew it")
    if left < RENEW_DAYS:
        return warning("certificate", f"{chain}: expires in {left} days; it is read anew when it is renewed")
    return good("certificate", f"{chain}: {left} days left")


def turn(servers: Turn | None) -> Iterator[Finding]:
    """Check that each TURN server grants a relay."""
    if servers is None:
        yield warning("turn", "none: visitors whose network lets no UDP through see no face; --turn (docs/deploy.md)")
        return
    credentials = servers.ice_server("doctor", time.time() + 60)
    for address in servers.addresses:
        try:
            relay = asyncio.run(_relay(address, str(credentials["username"]), str(credentials["credential"])))
            yield good("turn", f"{address}: gives a relay at {relay}")
        except (OSError, TimeoutError, ssl.SSLError, ConfigError) as error:
            yield fault(
                "turn", f"{address}: cannot be reached ({str(error) or 'no answer'}); is it running, and let through?"
            )
        except Exception as error:  # from aioice: the server refused
            yield fault("turn", f"{address}: refuses ({error}); is --turn-secret its static-auth-secret?")


async def _relay(address: str, name: str, password: str) -> str:
    """Return the relay address that the server grants. Raises OSError, TimeoutError, or aioice's error on refusal."""
    kind, host, number, transport = _parts(address)
    async with asyncio.timeout(TURN_S):
        endpoint, _ = await create_turn_endpoint(
            asyncio.DatagramProtocol, (host, number), name, password, ssl=kind == "turns" or None, transport=transport
        )
    relay = endpoint.get_extra_info("sockname")
    endpoint.close()
    await asyncio.sleep(0)  # lets the farewell packet leave
    return f"{relay[0]}:{relay[1]}"


def _parts(address: str) -> tuple[str, str, int, str]:
    kind, _, rest = address.partition(":")
    place, _, query = rest.partition("?transport=")
    host, _, number = place.rpartition(":") if ":" in place and not place.endswith("]") else (place, "", "")
    return kind, host.strip("[]"), int(number or STANDARD[kind]), query or ("tcp" if kind == "turns" else "udp")
