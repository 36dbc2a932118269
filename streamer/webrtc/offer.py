"""Validation of a client's SDP offer before it reaches the peer connection. The input is untrusted."""

from __future__ import annotations

import ipaddress

from aiortc.sdp import MediaDescription, SessionDescription

from streamer.core.errors import SessionError
from streamer.core.limits import Limits


class OfferError(SessionError):
    """The offer cannot be answered; the message names the defect."""


def check_offer(text: str, limits: Limits, microphone: bool = True) -> None:
    """Check that `text` is an offer with one audio section and one section that receives video.

    microphone: whether the audio must be sent; otherwise it must be received.

    Raises:
        OfferError: a check failed.
    """
    description = _parsed(text, limits)
    audio = _only(description, "audio", "no audio in the offer: it must send a microphone")
    video = _only(description, "video", "no video in the offer: it must receive the avatar's picture")
    _check_sound(audio, microphone)
    if video.direction not in ("sendrecv", "recvonly"):
        raise OfferError(f"video in the offer is {video.direction}; it must receive the avatar's picture (recvonly)")
    _check_transport(audio, video)


def check_sound(text: str, limits: Limits, microphone: bool) -> None:
    """Check that `text` is an offer with one audio section; other media are ignored. `microphone`: see `check_offer`.

    Raises:
        OfferError: a check failed.
    """
    audio = _only(_parsed(text, limits), "audio", "no audio in the offer: it must send a microphone")
    _check_sound(audio, microphone)
    _check_transport(audio)


def check_published(text: str, limits: Limits) -> None:
    """Check that `text` is an offer that publishes a microphone; other media are ignored.

    Raises:
        OfferError: a check failed.
    """
    audio = _only(_parsed(text, limits), "audio", "no audio in the offer: it must send a microphone")
    if audio.direction not in ("sendrecv", "sendonly"):
        raise OfferError(f"audio in the offer is {audio.direction}; it must send a microphone (sendonly)")
    _check_transport(audio)


def _check_sound(audio: MediaDescription, microphone: bool) -> None:
    if not microphone and audio.direction not in ("sendrecv", "recvonly"):
        raise OfferError(f"audio in the offer is {audio.direction}; it must receive the avatar's voice (recvonly)")
    if microphone and audio.direction not in ("sendrecv", "sendonly"):
        raise OfferError(f"audio in the offer is {audio.direction}; it must send a microphone (sendrecv)")


def _parsed(text: str, limits: Limits) -> SessionDescription:
    lines = text.splitlines()
    if not lines or lines[0].strip() != "v=0":
        raise OfferError("the request's body is not an SDP offer: it must begin with v=0")
    if len(lines) > limits.max_sdp_lines:
        raise OfferError(f"the SDP offer has {len(lines)} lines, at most {limits.max_sdp_lines} are accepted")
    sections = sum(line.startswith("m=") for line in lines)
    if sections > limits.max_media_sections:
        most = limits.max_media_sections
        raise OfferError(f"the SDP offer has {sections} media sections, at most {most} are accepted")
    candidates = sum(line.startswith("a=candidate:") for line in lines)
    if candidates > limits.max_candidates:
        raise OfferError(f"the SDP offer has {candidates} candidates, at most {limits.max_candidates} are accepted")
    try:
        description = SessionDescription.parse(text)
    except Exception as error:  # the parser checks little and raises many kinds of exception
        raise OfferError(f"the SDP offer cannot be parsed ({type(error).__name__})") from error
    mids = {section.rtp.muxId for section in description.media}
    if not all(mids.issuperset(group.items) for group in description.group if group.semantic == "BUNDLE"):
        raise OfferError("a=group:BUNDLE of the SDP offer names sections that there are not (a=mid)")
    return description


def _check_transport(*sections: MediaDescription) -> None:
    if not any(section.ice and section.ice.usernameFragment and section.ice.password for section in sections):
        raise OfferError("the SDP offer has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
    if not any(section.dtls and section.dtls.fingerprints for section in sections):
        raise OfferError("the SDP offer has no DTLS fingerprint (a=fingerprint)")


def without_dead_ends(text: str) -> str:
    """Return the offer without lines that would keep aioice from connecting to its sender.

    Candidates that are unusable from here are removed: TCP, and host names (`.local`, which hide an address as in
    RFC 8828), which only the sender's own network can resolve. `a=end-of-candidates` is removed, too: a browser that
    hides its addresses connects by its own checks (peer-reflexive candidates, RFC 8445 section 7.3.1.3), and aioice
    gives up before they arrive if the offer announces the end of candidates.
    """
    kept = [line for line in text.splitlines() if not _is_dead_end(line)]
    return "\r\n".join(kept) + "\r\n"


def _is_dead_end(line: str) -> bool:
    if line.startswith("a=end-of-candidates"):
        return True
    if not line.startswith("a=candidate:"):
        return False
    fields = line.split()
    if len(fields) < 8:
        return True
    try:
        address = ipaddress.ip_address(fields[4])
    except ValueError:
        return True
    return fields[2].lower() != "udp" or address.is_unspecified or address.is_multicast


def _only(description: SessionDescription, kind: str, missing: str) -> MediaDescription:
    sections = [section for section in description.media if section.kind == kind and section.port]
    if not sections:
        raise OfferError(missing)
    if len(sections) > 1:
        raise OfferError(f"{len(sections)} {kind} sections in the offer; expected one")
    return sections[0]
