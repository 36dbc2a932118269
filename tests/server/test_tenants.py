"""A server that asks for tokens: every door is shut without one, and two who have one know nothing of each other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import expect

from clients.speech import SpeechClient, SpeechClientError
from streamer.access.grant import SCOPES
from streamer.access.revocation import REVOKED, Entry, add
from streamer.access.secret import new_secret, public_text
from streamer.access.tokens import mint, told_by
from streamer.avatar.catalogue import HOME_VARIABLE
from streamer.core.errors import SessionError
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.server.routes.scopes import SCOPES as NEEDED
from streamer.web.access import SUBPROTOCOL
from tests.e2e.browser import CHROMIUM, MICROPHONE, chromium_started
from tests.families import tiny_family
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

SECRET = new_secret()
KEY = "a-key-that-is-long-enough"


def token(owner: str, *scopes: str, **limits: Any) -> str:
    return mint(SECRET, owner, scopes or ("talk", "push", "watch", "photos"), limits.pop("lasts_s", 600), **limits)


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def names(self) -> set[str]:
        """Of the avatars listed."""
        return {avatar["name"] for avatar in json.loads(self.text)["avatars"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the server's user."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(tiny_folder: Path, home: Path) -> Iterator[LaunchedServer]:
    """It knows the public key only. There is a face of ada's, one of bob's, and one that the server's own user made."""
    for name, owner in (("of-ada", "ada"), ("of-bob", "bob"), ("of-all", "")):
        folder = home / "avatars" / name
        shutil.copytree(tiny_folder / "avatars" / tiny_family.NAME, folder)
        about = json.loads((folder / "avatar.json").read_text()) | {"title": name, "owner": owner}
        (folder / "avatar.json").write_text(json.dumps(about))
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4", "--token", public_text(SECRET)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))
        with launch(arguments) as launched:
            yield launched


async def ask(server: LaunchedServer, method: str, path: str, given: str | None, data: bytes | None = None) -> Answer:
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, server.url + path.lstrip("/"), data=data) as response,
    ):
        return Answer(response.status, await response.text(errors="replace"), dict(response.headers))


@asynccontextmanager
async def talking(server: LaunchedServer, given: str, query: str = "") -> AsyncIterator[str]:
    """A conversation; its path."""
    async with Caller(server.url, vowels(60), query, token=given) as caller:
        yield caller.location.removeprefix(server.url)


def closed() -> list[tuple[str, str, tuple[str, ...]]]:
    """Method, path and scopes of all routes that need one."""
    return [(method, re.sub("[{}]", "", path), scopes) for (method, path), scopes in NEEDED.items() if scopes]


async def test_every_door_is_shut_without_a_token_that_fits(server: LaunchedServer) -> None:
    stranger = mint(new_secret(), "ada", SCOPES, 600)
    stale = token("ada", *SCOPES, lasts_s=-60)
    for method, path, _ in closed():
        nothing = await ask(server, method, path, None)
        assert nothing.status == 401, (method, path)
        assert nothing.headers["WWW-Authenticate"] == 'Bearer realm="avatar"'
    for method, path, _ in closed()[::4]:  # wrong ones are taken slowly
        for wrong, words in ((stranger, "not one of this server's"), (stale, "expired")):
            refused = await ask(server, method, path, wrong)
            assert (refused.status, words in refused.text) == (401, True), path
            assert "invalid_token" in refused.headers["WWW-Authenticate"]
    for method, path, scopes in closed():
        others = [scope for scope in SCOPES if scope not in (*scopes, "admin")]
        refused = await ask(server, method, path, token("ada", *others))
        assert (refused.status, "needs the scope" in refused.text) == (403, True), path


async def test_the_page_and_its_health_are_open_and_figures_are_for_who_rules(server: LaunchedServer) -> None:
    for path in ("", "obs", "page.js", "healthz"):
        assert (await ask(server, "GET", path, None)).status == 200
    assert (await ask(server, "GET", "metrics", token("ada"))).status == 403
    for ruler in (token("boss", "admin"), SECRET):
        assert "avatar_sessions_open" in (await ask(server, "GET", "metrics", ruler)).text


async def test_nobody_finds_sees_steers_or_ends_the_session_of_another(server: LaunchedServer) -> None:
    ada, bob = token("ada"), token("bob")
    async with talking(server, ada, f"key={KEY}") as path:
        for method, below in (("GET", ""), ("DELETE", ""), ("DELETE", "/say"), ("GET", "/control"), ("GET", "/speech")):
            for name in (path, f"session/{KEY}"):
                assert (await ask(server, method, name + below, bob)).status == 404
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {bob}", "Content-Type": "application/sdp"}
            for watch in (KEY, path.rsplit("/", 1)[1]):
                async with http.post(f"{server.url}whep/{watch}", data="v=0", headers=headers) as response:
                    assert response.status == 404
        with pytest.raises(SpeechClientError, match="no such session"):
            async with SpeechClient(f"{server.url}session/{KEY}", token=bob):
                pass
        assert (await ask(server, "GET", path, token("ada", "push"))).status == 200
        assert (await ask(server, "GET", path, SECRET)).status == 200


async def test_the_same_key_of_two_owners_is_two_keys(server: LaunchedServer) -> None:
    ada, bob = token("ada"), token("bob")
    async with talking(server, ada, f"key={KEY}") as of_ada, talking(server, bob, f"key={KEY}") as of_bob:
        assert (await ask(server, "GET", f"session/{KEY}", bob)).status == 200
        assert (await ask(server, "DELETE", of_bob, bob)).status == 200
        assert (await ask(server, "GET", of_ada, ada)).status == 200


async def test_speech_and_control_take_a_token(server: LaunchedServer) -> None:
    ada = token("ada")
    async with Caller(server.url, None, "speech=1", token=token("ada", "push")) as caller:
        async with SpeechClient(caller.location, token=ada) as client:
            assert client.delay_ms > 0
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{caller.location}/control", protocols=(SUBPROTOCOL, f"avatar-token.{ada}")) as socket,
        ):
            assert socket.protocol == SUBPROTOCOL
            await socket.send_json({"type": "hello", "version": 1})
            assert (await socket.receive_json(timeout=60))["type"] == "hello"
    with pytest.raises(SessionError, match="a microphone needs the scope talk"):
        async with talking(server, token("ada", "push")):
            pass


async def test_a_photo_is_seen_renamed_and_removed_by_its_owner_alone(server: LaunchedServer) -> None:
    ada, bob = token("ada"), token("bob")
    assert (await ask(server, "GET", "avatars", ada)).names == {tiny_family.NAME, "of-all", "of-ada"}
    assert (await ask(server, "GET", "avatars", SECRET)).names >= {"of-ada", "of-bob"}
    for method, path in (
        ("GET", "avatars/of-ada.png"),
        ("PATCH", "avatars/of-ada?title=x"),
        ("DELETE", "avatars/of-ada"),
    ):
        refused = await ask(server, method, path, bob)
        assert (refused.status, "of-bob" in refused.text) == (404, True)
        assert "of-ada" not in refused.text.split("there are")[1]
    with pytest.raises(SessionError, match="no avatar 'of-ada'"):
        async with talking(server, bob, "avatar=of-ada"):
            pass
    assert (await ask(server, "DELETE", "avatars/of-all", bob)).status == 403
    listed = json.loads((await ask(server, "GET", "avatars", ada)).text)["avatars"]
    assert {avatar["name"] for avatar in listed if avatar["own"]} == {"of-ada"}
    assert (await ask(server, "GET", "avatars/of-ada.png", ada)).status == 200
    assert json.loads((await ask(server, "PATCH", "avatars/of-ada?title=Me", ada)).text)["title"] == "Me"
    assert (await ask(server, "DELETE", "avatars/of-ada", ada)).status == 200
    assert (await ask(server, "GET", "avatars", SECRET)).names == {tiny_family.NAME, "of-all", "of-bob"}


async def test_a_token_may_name_the_faces(server: LaunchedServer) -> None:
    some = token("eve", avatars=["of-all"])
    answer = await ask(server, "GET", "avatars", some)
    assert [(avatar["name"], avatar["default"]) for avatar in json.loads(answer.text)["avatars"]] == [("of-all", True)]
    with pytest.raises(SessionError, match="there are of-all"):
        async with talking(server, some, f"avatar={tiny_family.NAME}"):
            pass


async def test_a_session_ends_when_its_minutes_are_used_up(server: LaunchedServer) -> None:
    short = token("ada", minutes=0.02)
    with contextlib.suppress(SessionError):  # used up before it came about, where the machine is held up
        async with talking(server, short) as path, asyncio.timeout(60):
            while (await ask(server, "GET", path, short)).status == 200:  # noqa: ASYNC110 - it ends in another process
                await asyncio.sleep(0.1)
    with pytest.raises(SessionError, match="minutes are used up"):
        async with talking(server, short):
            pass


async def test_what_a_token_has_open_ends_when_it_is_revoked(server: LaunchedServer, home: Path) -> None:
    taken, kept = token("ada"), token("ada")
    async with talking(server, kept, f"key={KEY}") as staying, talking(server, taken) as ending:
        (name, expires) = told_by(taken) or ("", 0.0)
        add(home / REVOKED, [Entry(name, expires)])
        async with asyncio.timeout(PATIENCE_S):
            while (await ask(server, "GET", ending, kept)).status == 200:  # noqa: ASYNC110 - it ends in another process
                await asyncio.sleep(0.1)
        assert "revoked" in (await ask(server, "GET", "avatars", taken)).text
        assert (await ask(server, "GET", staying, kept)).status == 200


async def test_a_token_has_so_many_sessions_at_a_time(server: LaunchedServer) -> None:
    one = token("ada", sessions=1)
    async with talking(server, one, f"key={KEY}"):
        with pytest.raises(SessionError, match="for 1 sessions at a time"):
            async with talking(server, one):
                pass
        async with talking(server, one, f"key={KEY}"):  # a newer call takes the older one's place
            pass


@pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page is not tested on this machine")
async def test_the_page_takes_a_token_from_its_address_or_asks_for_one(server: LaunchedServer) -> None:
    async with (
        chromium_started() as chromium,
        chromium.page(*MICROPHONE) as page,
        chromium.page(*MICROPHONE) as other,
    ):
        await page.goto(f"{server.url}#token={token('bob')}")
        await page.wait_for_selector("#start:enabled")
        assert "token" not in page.url
        await expect(page.locator("#faces input[value=of-bob]")).to_have_count(1)
        shown = "() => document.querySelector('avatar-view').shadowRoot.querySelector('img').naturalWidth > 0"
        await page.wait_for_function(shown)
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'live'")
        await expect(page.locator("#latency")).to_contain_text("new pictures")
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'idle'")
        await other.goto(server.url)
        await expect(other.locator("#access")).to_be_visible()
        await other.fill("#access-token", "nonsense")
        await other.click("#access button")
        await expect(other.locator("#access-note")).to_contain_text("cannot be read")
        await other.fill("#access-token", token("eve"))
        await other.click("#access button")
        await other.wait_for_selector("#start:enabled")
        await expect(other.locator("#access")).to_be_hidden()
