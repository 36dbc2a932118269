"""Sections of an offer that carry nothing are not negotiated; those that share another's port are."""

from __future__ import annotations

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from streamer.webrtc.ice import LOOPBACK, offer_only
from streamer.webrtc.sections import Offer, with_ports

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2 3\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=recvonly\r\n"
    "m=video 0 UDP/TLS/RTP/SAVPF 97 98\r\na=mid:1\r\na=sendonly\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:2\r\na=sendrecv\r\n"
    "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:3\r\na=sendrecv\r\n"
)


def test_a_section_without_a_port_is_left_out_and_rejected_in_its_place() -> None:
    offer = Offer.of(OFFER)
    assert [line for line in offer.text.splitlines() if line.startswith(("m=", "a=mid", "a=group"))] == [
        "a=group:BUNDLE 0 2",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:2",
    ]
    answer = offer.answer("v=0\r\na=group:BUNDLE 0 2\r\nm=video 9 X 96\r\na=mid:0\r\nm=audio 9 X 111\r\na=mid:2\r\n")
    lines = answer.splitlines()
    assert [line for line in lines if line.startswith("m=")] == [
        "m=video 9 X 96",
        "m=video 0 UDP/TLS/RTP/SAVPF 97 98",
        "m=audio 9 X 111",
        "m=audio 0 UDP/TLS/RTP/SAVPF 111",
    ]
    assert lines[lines.index("m=video 0 UDP/TLS/RTP/SAVPF 97 98") + 1 :][:3] == [
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        "a=mid:1",
    ]


def test_an_offer_whose_sections_are_all_in_use_stays_as_it_is() -> None:
    text = OFFER.replace("m=video 0", "m=video 9").replace("m=audio 0", "m=audio 9")
    assert Offer.of(text) == Offer(text, {})


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_a_section_that_shares_a_port_is_in_use(ends: str) -> None:
    """As Firefox and others offer with bundlePolicy "max-bundle"."""
    text = OFFER.replace("a=mid:1", "a=bundle-only\r\na=mid:1").replace("\r\n", ends)
    offer = Offer.of(with_ports(text))
    assert "m=video 9 UDP/TLS/RTP/SAVPF 97 98" in offer.text
    assert list(offer.rejected) == [3]


async def test_aiortc_takes_the_remaining_sections() -> None:
    offer_only(LOOPBACK)
    one, other = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    try:
        for kind, direction in (("video", "recvonly"), ("video", "sendonly"), ("audio", "sendrecv")):
            one.addTransceiver(kind, direction)
        await one.setLocalDescription(await one.createOffer())
        sections = one.localDescription.sdp.split("m=video ")
        text = f"{sections[0]}m=video {sections[1]}m=video 0 {sections[2].split(' ', 1)[1]}"
        offer = Offer.of(text)
        other.addTransceiver("video", "sendonly")
        other.addTransceiver("audio", "sendrecv")
        await other.setRemoteDescription(RTCSessionDescription(offer.text, "offer"))
        await other.setLocalDescription(await other.createAnswer())
        answer = offer.answer(other.localDescription.sdp)
    finally:
        await one.close()
        await other.close()
        offer_only(None)
    heads = [line.split()[:2] for line in answer.splitlines() if line.startswith("m=")]
    assert [kind for kind, _ in heads] == ["m=video", "m=video", "m=audio"]
    assert heads[1][1] == "0"
    assert "0" not in (heads[0][1], heads[2][1])
