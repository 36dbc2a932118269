"""The registry of sessions, in-process: a face that needs no engines, and offers of real peers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast

import pytest

from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits
from streamer.inference.worker import InferenceWorker, WorkerState
from streamer.server.admission.places import NoRoomError
from streamer.server.registry import Lobby
from streamer.server.session_options import PeerOptions
from tests.fakes.local import STILL, LevelWorker
from tests.server.test_peer_session import offering

pytestmark = pytest.mark.usefixtures("loopback")

KEY = "a-key-of-my-own-that-is-long"


class Desk:
    """A registry with room for two, and callers."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.worker = LevelWorker()
        self.lines: list[str] = []
        self.lobby = Lobby(cast(InferenceWorker, self.worker), 2, Limits(), MonotonicClock(), self.lines.append)
        self._stack = stack

    async def call(self, key: str | None = None) -> str:
        """Open a session; its token."""
        peer = await offering(self._stack)

        async def options() -> PeerOptions:
            return PeerOptions("dot", STILL, 185)

        token, answer, delay_ms = await self.lobby.admit(peer.localDescription.sdp, options, "127.0.0.1", key)
        assert answer.startswith("v=0")
        assert delay_ms > 185
        return token


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        desk = Desk(stack)
        stack.push_async_callback(desk.lobby.close)
        yield desk


async def test_a_session_is_found_by_its_token_and_ends_when_dismissed(desk: Desk) -> None:
    token = await desk.call()
    assert desk.lobby.find(token) is not None
    assert desk.lobby.find(token[:-1]) is None
    assert await desk.lobby.dismiss(token)
    assert not await desk.lobby.dismiss(token)
    assert desk.lobby.open_sessions == 0
    assert desk.worker.closed == [1]
    assert [line.split(":")[0] for line in desk.lines] == ["session 1 begins", "session 1 ends"]


async def test_a_newer_call_with_the_same_key_ends_the_older(desk: Desk) -> None:
    older = await desk.call(KEY)
    newer = await desk.call(KEY)
    assert desk.lobby.open_sessions == 1
    assert desk.lobby.find(KEY) is desk.lobby.find(newer)
    assert desk.lobby.was_replaced(older)
    assert not desk.lobby.was_replaced(newer)
    assert "a newer call has its key" in desk.lines[1]


async def test_keys_are_apart(desk: Desk) -> None:
    one, other = await desk.call(KEY), await desk.call(KEY + "-2")
    assert desk.lobby.find(KEY) is desk.lobby.find(one)
    assert desk.lobby.find(KEY + "-2") is desk.lobby.find(other)


async def test_without_engines_no_caller_is_admitted(desk: Desk) -> None:
    desk.worker.state = WorkerState.STARTING
    with pytest.raises(NoRoomError, match="not ready"):
        await desk.call()
    assert desk.lobby.opened == 0


async def test_a_session_that_cannot_be_prepared_leaves_its_place(desk: Desk) -> None:
    peer_sdp = "v=0"

    async def broken() -> PeerOptions:
        raise NoRoomError("the disk is full")

    for _ in range(3):  # more than there are places
        with pytest.raises(NoRoomError, match="disk"):
            await desk.lobby.admit(peer_sdp, broken, "127.0.0.1")
    assert await desk.call()


async def test_the_death_of_the_engines_ends_every_session(desk: Desk) -> None:
    token = await desk.call()
    desk.worker.die("the inference process ended unexpectedly")
    session = desk.lobby.find(token)
    if session is not None:
        await session.ended()
    assert desk.lobby.open_sessions == 0
    assert "ended unexpectedly" in desk.lines[-1]
