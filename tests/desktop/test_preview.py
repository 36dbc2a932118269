"""The page with the face: what a browser gets, and from where it may come."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import cv2
import numpy as np
import pytest
from PIL import Image

from streamer.core.errors import ConfigError
from streamer.core.frames import ByteArray
from streamer.desktop.preview import MOST_VIEWERS, Preview
from tests.modules import loaded_modules


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


def _plain(grey: int) -> ByteArray:
    rgb = np.full((32, 48, 3), grey, np.uint8)
    rgb[..., 0] = 250
    return rgb


class _Parts:
    """What a browser makes of the stream. A part is complete when the next one's head is there, and only then shown."""

    def __init__(self, body: aiohttp.StreamReader) -> None:
        self._body = body
        self._head = b""

    async def file(self) -> tuple[str, bytes]:
        """The next part's type and content."""
        self._head = self._head or await self._body.readuntil(b"\r\n\r\n")
        end = b"\r\n" + self._head
        kind = self._head.decode().partition("Content-Type: ")[2].strip()
        return kind, (await self._body.readuntil(end)).removesuffix(end)

    async def picture(self) -> ByteArray:
        """The next part, a JPEG: RGB."""
        kind, jpeg = await self.file()
        assert kind == "image/jpeg"
        return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


async def test_a_page_shows_each_picture_as_it_comes(web: aiohttp.ClientSession) -> None:
    preview = Preview()
    async with preview.served(0) as page:
        async with web.get(page) as response:
            assert '<img src="/picture"' in await response.text()
            assert "img-src 'self'" in response.headers["Content-Security-Policy"]
        async with web.get(f"{page}preview.css") as response:
            assert response.content_type == "text/css"
        preview.show(0, _plain(40))
        async with web.get(f"{page}picture") as response:
            assert response.content_type == "multipart/x-mixed-replace"
            parts = _Parts(response.content)
            for grey in (40, 90, 200):
                preview.show(1, _plain(grey))
                seen = await parts.picture()
                while abs(int(seen[16, 24, 1]) - grey) > 4:  # the one before may have been on its way
                    seen = await parts.picture()
                assert seen.shape == (32, 48, 3)
                assert seen[16, 24, 0] > 240


async def test_a_page_that_reads_nothing_delays_no_other(web: aiohttp.ClientSession) -> None:
    preview = Preview()
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    async with preview.served(0) as page, web.get(f"{page}picture"):
        for frame in range(100):
            preview.show(frame, noise)
            await asyncio.sleep(0)
        async with web.get(f"{page}picture") as other:
            assert (await _Parts(other.content).picture()).shape == (256, 256, 3)


@pytest.mark.slow
async def test_a_page_that_is_closed_is_no_error(web: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    preview = Preview()
    async with preview.served(0) as page:
        for _ in range(MOST_VIEWERS + 1):  # each gives its place back
            async with web.get(f"{page}picture") as response:
                assert response.status == 200
                preview.show(0, _plain(9))
                await _Parts(response.content).picture()
                response.close()
            for _ in range(20):
                preview.show(0, _plain(9))
                await asyncio.sleep(0.005)
    assert caplog.records == []


async def test_other_hosts_names_and_too_many_pages_are_refused(web: aiohttp.ClientSession) -> None:
    preview = Preview()
    preview.show(0, _plain(1))
    async with preview.served(0) as page:
        async with web.get(page, headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        pages = [await web.get(f"{page}picture") for _ in range(MOST_VIEWERS)]
        async with web.get(f"{page}picture") as response:
            assert response.status == 503
        for opened in pages:
            opened.close()


async def test_a_port_that_is_taken_is_reported() -> None:
    async with Preview().served(0) as page:
        port = int(page.rstrip("/").rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"cannot listen on localhost, port {port}"):
            async with Preview().served(port):
                pass


async def test_transparent_pictures_come_as_they_are_over_a_page_without_a_ground(web: aiohttp.ClientSession) -> None:
    rgba = np.random.default_rng(0).integers(1, 256, (32, 48, 4), np.uint8)
    rgba[:8, :8, 3] = 0
    preview = Preview(clear=True)
    preview.show(0, rgba)
    async with preview.served(0) as page:
        async with web.get(f"{page}picture") as response:
            kind, file = await _Parts(response.content).file()
        async with web.get(f"{page}preview.css") as response:
            assert "background" not in await response.text()
    with Image.open(io.BytesIO(file)) as picture:
        seen = np.asarray(picture)
    assert kind == "image/webp"
    assert (seen[..., 3] == rgba[..., 3]).all()
    assert (seen[seen[..., 3] > 0] == rgba[rgba[..., 3] > 0]).all()


async def test_each_run_of_the_program_has_another_name(web: aiohttp.ClientSession) -> None:
    names = []
    for _ in range(2):
        async with Preview().served(0) as page, web.get(f"{page}run") as response:
            names.append(await response.text())
    assert names[0] != names[1] != ""


@pytest.mark.process
def test_the_page_loads_no_webrtc_and_no_codecs() -> None:
    loaded = loaded_modules("import streamer.desktop.preview")
    assert "streamer.desktop.preview" in loaded
    assert loaded & {"aiortc", "aioice", "av", "streamer.server", "streamer.webrtc"} == set()
