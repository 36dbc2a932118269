"""The addresses that are printed are those that answer."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from streamer.web.listen import addresses, listen
from streamer.webrtc.ice import own_addresses


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "localhost"),
        ("::1", "::1"),
        ("::", "localhost"),
    ],
)
def test_every_address_that_is_printed_answers(host: str, name: str) -> None:
    with listen(host, 0) as listener:
        told = addresses(host, listener, own_addresses())
        assert urlsplit(told[0]).hostname == name
        for url in told:
            parts = urlsplit(url)
            assert parts.hostname is not None
            assert parts.path == "/"
            with socket.create_connection((parts.hostname, parts.port or 80), 5):
                pass


def test_a_server_on_every_address_tells_the_way_from_other_machines() -> None:
    with listen("0.0.0.0", 0) as listener:
        told = addresses("0.0.0.0", listener, ["192.0.2.7", "2001:db8::7"])
    assert [urlsplit(url).hostname for url in told] == ["localhost", "192.0.2.7"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1", "127.0.0.1"])
def test_a_server_on_loopback_tells_no_other_way(host: str) -> None:
    with listen(host, 0) as listener:
        assert len(addresses(host, listener, ["192.0.2.7"])) == 1
