"""A program that is given a session's address steers its face and learns what it does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.session import SessionClient, SessionClientError
from streamer.measure.launched_server import LaunchedServer, launch
from tests.fakes.spoken import caller_of

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield launched


async def until(session: SessionClient, kind: str, **fields: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        async for event in session.events():
            if event["type"] == kind and fields.items() <= event.items():
                return event
    raise AssertionError(f"the session ended before {kind}")


async def test_a_face_is_steered_until_its_session_ends(server: LaunchedServer) -> None:
    async with caller_of(server) as caller:
        session = SessionClient(caller.location)
        async with session:
            assert {"nod", "interrupt", "background"} <= set(session.can)
            await session.control(type="mute", on=True)
            await until(session, "state", muted=True)
            await session.control(type="dance")
            assert "dance" in (await until(session, "error"))["message"]
            assert (await session.report())["pictures"] >= 0
            assert await session.interrupt() == 0
            async with aiohttp.ClientSession() as http, http.delete(caller.location) as response:
                assert response.status == 200
            async with asyncio.timeout(60):
                async for _ in session.events():
                    pass
            with pytest.raises(SessionClientError, match="the client left"):
                await session.control(type="interrupt")


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: said text is not tested on this machine")
async def test_texts_are_said_and_refusals_are_sentences(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, SessionClient(caller.location) as session:
        assert await session.say("Good morning.") == 1
        await until(session, "started", speech=1)
        with pytest.raises(SessionClientError, match="does not speak xx"):
            await session.say("hello", language="xx")


async def test_a_session_that_is_not_there_is_one_sentence(server: LaunchedServer) -> None:
    with pytest.raises(SessionClientError, match="no such session; it may have ended"):
        async with SessionClient(f"{server.url}session/nobody"):
            pass
    with pytest.raises(SessionClientError, match="localhost:9"):
        async with SessionClient("http://localhost:9/session/nobody"):
            pass
