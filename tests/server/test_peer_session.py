"""A session's life over real peer connections: it ends by itself when there is nobody to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from contextlib import AsyncExitStack

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.audio.format import RATE
from streamer.core.aio import MonotonicClock
from streamer.core.errors import SessionError
from streamer.core.limits import Limits
from streamer.inference.worker import InferenceWorker, WorkerState
from streamer.server.admission.places import NoRoomError
from streamer.server.peer_session import Session
from streamer.server.peer_state import State
from streamer.server.registry import Lobby
from streamer.server.session_options import PeerOptions
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_protocol import Idle, Played, Started, Told
from streamer.webrtc.offer import OfferError, check_offer
from streamer.webrtc.private_parts import transports_of
from tests.families import tiny_family
from tests.server.calling import PATIENCE_S, STILL, Owner


def open_session(worker: InferenceWorker, limits: Limits, owner: Owner) -> Session:
    return Session(PeerOptions(tiny_family.NAME, STILL, 185), worker, limits, MonotonicClock(), owner)


async def offering(stack: AsyncExitStack, audio: str = "sendrecv", video: str = "recvonly") -> RTCPeerConnection:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    stack.push_async_callback(peer.close)
    peer.addTransceiver("audio", audio)
    peer.addTransceiver("video", video)
    await peer.setLocalDescription(await peer.createOffer())
    return peer


@pytest.mark.process
async def test_a_peer_that_never_connects_is_given_up(worker: InferenceWorker) -> None:
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        session = open_session(worker, Limits(connect_s=0.3), owner)
        await session.answer(peer.localDescription.sdp)
        assert "not connected" in await owner.wait()
        assert session.state is State.CLOSED
        assert owner.ended == [session]


@pytest.mark.process
async def test_a_peer_whose_microphone_says_nothing_is_given_up(worker: InferenceWorker) -> None:
    """Connected, but no track was ever put into the sender: no packet comes."""
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        session = open_session(worker, Limits(no_media_s=1.0), owner)
        answer = await session.answer(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert "no sound from the microphone" in await owner.wait()


@pytest.mark.process
async def test_a_peer_of_which_nothing_comes_any_more_is_gone(worker: InferenceWorker) -> None:
    """A browser that was killed: it says nothing, and its address answers no check."""
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        session = open_session(worker, Limits(gone_s=1.0), owner)
        answer = await session.answer(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(PATIENCE_S):
            while peer.connectionState != "connected" and not owner.ended:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (transport,) = transports_of(peer)
        await transport.drop_network()
        assert await owner.wait() in ("nothing came from the peer for 1 s", "the peer has gone")


@pytest.mark.process
@pytest.mark.parametrize("microphone", [True, False])
async def test_a_caller_who_talks_keeps_a_place(worker: InferenceWorker, microphone: bool) -> None:
    owner, limits, clock = Owner(), Limits(), MonotonicClock()
    options = PeerOptions(tiny_family.NAME, STILL, 185, microphone=microphone)
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        before = clock.now()
        session = Session(options, worker, limits, clock, owner)
        stack.push_async_callback(session.close, "enough")
        answer = await session.answer(peer.localDescription.sdp)
        connecting = session.gives_way_at()
        assert connecting is not None
        assert before + limits.reserve_s <= connecting <= clock.now() + limits.reserve_s
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(PATIENCE_S):
            while session.state is not State.LIVE:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        silent = session.gives_way_at()
        if microphone:
            assert silent is None
            return
        assert silent is not None
        session.speech.attach(lambda told: None)
        attached = session.gives_way_at()
        assert attached == silent - limits.silent_s + limits.unspoken_s
        session.speech.pushed.begin(1, Pcm(RATE, 1))
        session.speech.pushed.push(np.full(RATE, 3000, "<i2").tobytes())
        async with asyncio.timeout(PATIENCE_S):
            while session.gives_way_at() == attached:  # noqa: ASYNC110 - speaking, it keeps its place
                await asyncio.sleep(0.01)


@pytest.mark.process
async def test_a_session_may_not_last_for_ever(worker: InferenceWorker) -> None:
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        session = open_session(worker, Limits(max_session_s=0.5), owner)
        answer = await session.answer(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert "the session lasted" in await owner.wait()


@pytest.mark.process
async def test_the_death_of_the_inference_process_ends_the_session(worker: InferenceWorker) -> None:
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        session = open_session(worker, Limits(), owner)
        await session.answer(peer.localDescription.sdp)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        assert "ended unexpectedly" in await owner.wait()
        await session.close("again")
        assert owner.ended == [session]


@pytest.mark.process
async def test_a_peer_that_takes_no_sound_has_its_speech_played_and_reported(worker: InferenceWorker) -> None:
    """`sendonly` audio: aiortc starts no sender, so the session's time must not depend on one."""
    owner = Owner()
    told: list[Told] = []
    idle = asyncio.Event()

    def tell(event: Told) -> None:
        told.append(event)
        if isinstance(event, Idle):
            idle.set()

    async with AsyncExitStack() as stack:
        peer = await offering(stack, audio="sendonly")
        session = open_session(worker, Limits(), owner)
        answer = await session.answer(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        session.speech.attach(tell)
        session.speech.pushed.begin(1, Pcm(RATE, 1))
        session.speech.pushed.push(np.full(RATE // 2, 3000, "<i2").tobytes())
        session.speech.pushed.end()
        async with asyncio.timeout(PATIENCE_S):
            await idle.wait()
        await session.close("enough")
    assert told[0] == Started(1)
    assert told[-2:] == [Played(1, 500, True), Idle()]


@pytest.mark.process
async def test_a_worker_that_dies_while_a_session_is_opened_is_an_answer(worker: InferenceWorker) -> None:
    """Before the session, while a place is looked for, and while its offer is answered."""
    lobby = Lobby(worker, 1, Limits(), MonotonicClock())
    options = PeerOptions(tiny_family.NAME, STILL, 185)

    async def prepare() -> PeerOptions:
        return options

    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        assert worker.pid is not None
        opening = asyncio.create_task(lobby.admit(peer.localDescription.sdp, prepare))
        await asyncio.sleep(0)  # it negotiates now
        os.kill(worker.pid, signal.SIGKILL)
        while worker.state is WorkerState.READY:  # noqa: ASYNC110 - the death is another process's
            await asyncio.sleep(0)
        with pytest.raises(SessionError):
            Session(options, worker, Limits(), MonotonicClock(), Owner())
        with contextlib.suppress(SessionError):  # it may have been answered before; then it has ended by now
            await opening
        with pytest.raises(NoRoomError, match="not ready"):
            await lobby.admit(peer.localDescription.sdp, prepare)
        async with asyncio.timeout(PATIENCE_S):
            while lobby.open_sessions:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.mark.process
async def test_each_session_has_a_line_at_its_begin_and_one_at_its_end(worker: InferenceWorker) -> None:
    lines: list[str] = []
    lobby = Lobby(worker, 1, Limits(), MonotonicClock(), lines.append)

    async def prepare() -> PeerOptions:
        return PeerOptions(tiny_family.NAME, STILL, 185)

    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        token, answer, _ = await lobby.admit(peer.localDescription.sdp, prepare, "192.0.2.1")
        assert lines == ["session 1 begins: avatar dot, for 192.0.2.1"]
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        session = lobby.find(token)
        assert session is not None
        async with asyncio.timeout(PATIENCE_S):
            while session.counts().frames_shown < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await lobby.dismiss(token)
    assert len(lines) == 2
    assert re.fullmatch(r"session 1 ends: the client left, after \d+ s; \d+ pictures, \d+ repeats.*", lines[1])
    assert token not in lines[0] + lines[1]


@pytest.mark.process
async def test_an_offer_that_is_given_up_leaves_nothing(worker: InferenceWorker) -> None:
    lobby = Lobby(worker, 1, Limits(), MonotonicClock())

    async def prepare() -> PeerOptions:
        return PeerOptions(tiny_family.NAME, STILL, 185)

    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        opening = asyncio.create_task(lobby.admit(peer.localDescription.sdp, prepare))
        await asyncio.sleep(0)
        assert lobby.open_sessions == 1
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert lobby.open_sessions == 0


@pytest.mark.process
async def test_the_answer_prefers_vp8_and_offers_loopback_only(worker: InferenceWorker) -> None:
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        session = open_session(worker, Limits(), owner)
        answer = await session.answer(peer.localDescription.sdp)
        await session.close("enough")
    video = answer.split("m=video")[1]
    first = video.split()[2]
    assert f"a=rtpmap:{first} VP8/90000" in video
    candidates = [line.split() for line in answer.splitlines() if line.startswith("a=candidate:")]
    assert {candidate[4] for candidate in candidates} == {"127.0.0.1"}
    assert {candidate[7] for candidate in candidates} == {"host"}


@pytest.mark.parametrize(
    ("audio", "video", "says"),
    [("recvonly", "recvonly", "must send a microphone"), ("sendrecv", "sendonly", "must receive the avatar's picture")],
)
async def test_an_offer_the_wrong_way_round_is_refused(audio: str, video: str, says: str) -> None:
    async with AsyncExitStack() as stack:
        peer = await offering(stack, audio, video)
        with pytest.raises(OfferError, match=says):
            check_offer(peer.localDescription.sdp, Limits())


@pytest.mark.parametrize(("audio", "says"), [("recvonly", None), ("sendrecv", None), ("sendonly", "must receive")])
async def test_an_offer_for_pushed_speech_needs_no_microphone(audio: str, says: str | None) -> None:
    async with AsyncExitStack() as stack:
        sdp = (await offering(stack, audio)).localDescription.sdp
        if says is None:
            check_offer(sdp, Limits(), microphone=False)
        else:
            with pytest.raises(OfferError, match=says):
                check_offer(sdp, Limits(), microphone=False)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["m=audio 9 RTP/SAVPF 111", "m=video x y", "a=mid:0", "c=IN", "a=rtpmap:111 opus",
       "a=group:BUNDLE 0 1", "a=sendrecv", "a=fingerprint:x", "a=ice-ufrag:u", "a=candidate:1", "a=ssrc:-", "o=-"]) |
       st.text(max_size=40), max_size=30))  # fmt: skip
def test_no_text_is_worse_than_a_refused_offer(lines: list[str]) -> None:
    with pytest.raises(OfferError) as refusal:
        check_offer("\r\n".join(["v=0", *lines]), Limits())
    assert str(refusal.value)


@pytest.mark.process
async def test_an_offer_that_bundles_what_is_not_there_is_refused_and_its_session_ends(worker: InferenceWorker) -> None:
    """aiortc would leave its sections without a transport, and fail when it is closed."""
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = await offering(stack)
        offer = re.sub(r"a=group:BUNDLE.*", "a=group:BUNDLE nobody 0 1", peer.localDescription.sdp)
        with pytest.raises(OfferError, match="that there are not"):
            check_offer(offer, Limits())
        session = open_session(worker, Limits(), owner)
        with pytest.raises(OfferError, match="do not fit together"):
            await session.answer(offer)
        assert session.state is State.CLOSED
