"""Offer/answer negotiation of one peer connection, with a packet guard in front of its transports."""

from __future__ import annotations

from functools import partial

from aiortc import RTCPeerConnection, RTCSessionDescription

from streamer.webrtc.offer import OfferError, without_dead_ends
from streamer.webrtc.peer_guard import PeerGuard
from streamer.webrtc.private_parts import Transport, filter_messages, is_whole, transports_of
from streamer.webrtc.public_ip import with_announced
from streamer.webrtc.sections import Offer


async def answer(peer: RTCPeerConnection, guard: PeerGuard, offer: str, messages: bool = False) -> str:
    """Apply an offer that has passed `check_offer` to `peer`; return the SDP answer with all candidates in it.

    From then on, every packet from the peer passes `guard` before aiortc parses it. messages: accept data channels.

    Raises:
        OfferError: aiortc cannot answer the offer, or this machine has no usable address.
        TimeoutError: a timeout of the caller expired.
    """
    taken = Offer.of(without_dead_ends(offer))
    try:
        await peer.setRemoteDescription(RTCSessionDescription(taken.text, "offer"))
        _check_whole(peer)
        transports = transports_of(peer)  # those left after bundling
        for transport in transports:
            transport.filter_media(guard.rtp, guard.rtcp)
            if not messages:
                transport.take_no_data()
        if messages and peer.sctp is not None:
            filter_messages(peer.sctp, guard.messages.packet)
        await peer.setLocalDescription(await peer.createAnswer())
        _check_whole(peer)
    except (TimeoutError, OfferError):
        raise
    except Exception as error:  # aiortc raises many kinds of exception on an unexpected offer
        raise OfferError(
            f"the SDP offer cannot be answered ({error or type(error).__name__}); "
            "it must offer Opus and VP8 or H.264, bundled"
        ) from error
    for transport in transports:
        transport.filter_datagrams(partial(_takes, guard, transport))
    sdp = with_announced(taken.answer(peer.localDescription.sdp))
    if "a=candidate:" not in sdp:
        raise OfferError("there is no address of this machine by which the call could come about")
    return sdp


def _check_whole(peer: RTCPeerConnection) -> None:
    if not is_whole(peer):
        raise OfferError("the SDP offer's sections do not fit together: a=group:BUNDLE must name the a=mid of each")


def _takes(guard: PeerGuard, transport: Transport, data: bytes, address: tuple[str, int]) -> bool:
    return guard.datagram(data, address, transport.is_peer(address), transport.backlog)
