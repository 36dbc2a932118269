"""The page with the face: what a browser gets, and from where it may come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import cv2
import numpy as np
import pytest

from streamer.errors import ConfigError
from streamer.frames import ByteArray
from streamer.preview import MOST_VIEWERS, Preview


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


def _plain(grey: int) -> ByteArray:
    rgb = np.full((32, 48, 3), grey, np.uint8)
    rgb[..., 0] = 250
    return rgb


async def _part(body: aiohttp.StreamReader) -> ByteArray:
    """The next picture of the stream, RGB; the boundary behind it must already be there."""
    head = (await body.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"Content-Length: (\d+)", head)
    assert length is not None
    jpeg = await body.readexactly(int(length[1]))
    assert await body.readexactly(11) == b"\r\n--picture"
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1]


async def test_transparent_pictures_stay_so(web: aiohttp.ClientSession) -> None:
    preview = Preview()
    rgba = np.dstack([_plain(90), np.full((32, 48), 77, np.uint8)])
    preview.show(0, rgba)
    async with preview.served(0) as page, web.get(f"{page}picture") as response:
        head = (await response.content.readuntil(b"\r\n\r\n")).decode()
        assert "Content-Type: image/png" in head
        length = re.search(r"Content-Length: (\d+)", head)
        assert length is not None
        png = np.frombuffer(await response.content.readexactly(int(length[1])), np.uint8)
        seen = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
        assert seen is not None
        assert np.array_equal(seen[..., [2, 1, 0, 3]], rgba)


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
            for grey in (40, 90, 200):
                preview.show(1, _plain(grey))
                seen = await _part(response.content)
                while abs(int(seen[16, 24, 1]) - grey) > 4:  # the one before may have been on its way
                    seen = await _part(response.content)
                assert seen.shape == (32, 48, 3)
                assert seen[16, 24, 0] > 240


async def test_a_page_that_reads_nothing_holds_up_nobody(web: aiohttp.ClientSession) -> None:
    preview = Preview()
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    async with preview.served(0) as page, web.get(f"{page}picture"):
        for frame in range(100):
            preview.show(frame, noise)
            await asyncio.sleep(0)
        async with web.get(f"{page}picture") as other:
            assert (await _part(other.content)).shape == (256, 256, 3)


async def test_a_page_that_is_closed_is_no_error(web: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    preview = Preview()
    async with preview.served(0) as page:
        for _ in range(MOST_VIEWERS + 1):  # each gives its place back
            async with web.get(f"{page}picture") as response:
                assert response.status == 200
                preview.show(0, _plain(9))
                await _part(response.content)
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


async def test_a_port_that_is_taken_is_told() -> None:
    async with Preview().served(0) as page:
        port = int(page.rstrip("/").rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"cannot listen on localhost, port {port}"):
            async with Preview().served(port):
                pass
