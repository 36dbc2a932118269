"""Other sites' pages get nothing from a server on this machine."""

from __future__ import annotations

import pytest

from streamer.web.guard import host_allowed, origin_allowed


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"])
def test_a_loopback_server_answers_to_loopback_names(host: str) -> None:
    assert host_allowed("localhost", host)


@pytest.mark.parametrize("host", ["evil.example:8080", "192.168.1.7:8080", "localhost.evil.example", "", "[::1"])
def test_a_loopback_server_answers_to_no_other_name(host: str) -> None:
    assert not host_allowed("127.0.0.1", host)


def test_a_server_of_the_network_answers_to_any_name() -> None:
    assert host_allowed("0.0.0.0", "studio.example")


@pytest.mark.parametrize("origin", [None, "http://localhost:8080", "https://LOCALHOST:8080"])
def test_its_own_pages_and_programs_may_change_things(origin: str | None) -> None:
    assert origin_allowed(origin, "localhost:8080")


@pytest.mark.parametrize(
    "origin", ["null", "", "http://evil.example", "http://localhost:9090", "http://localhost", "http://[", "http://x]"]
)
def test_pages_of_other_origins_may_not(origin: str) -> None:
    assert not origin_allowed(origin, "localhost:8080")


def test_a_browser_that_calls_a_page_our_own_is_believed_whatever_name_a_proxy_asks_by() -> None:
    assert origin_allowed("https://studio.example", "127.0.0.1:8080", "same-origin")
    for site in ("cross-site", "same-site", None):
        assert not origin_allowed("https://studio.example", "127.0.0.1:8080", site)
