"""The page where a voice agent answers: it is heard, captioned, and said to listen or to speak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from tests.e2e.browser import CHROMIUM, Chromium, speaking
from tests.e2e.talk_page import browsing, heard, note, ready, were_said
from tests.fakes.realtime_backend import SPOKEN, TRANSCRIPT, RealtimeBackend
from tests.fakes.sound import speech_like, write_wav
from tests.server.test_realtime import agent

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("loopback"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page is not tested on this machine"),
]


async def test_who_speaks_on_the_page_is_answered_and_reads_it(
    chromium: Chromium, tiny_folder: Path, tmp_path: Path
) -> None:
    rest = np.zeros(16_000 * 20, np.float32)
    voice = write_wav(tmp_path / "voice.wav", np.concatenate([rest[:32_000], 3 * speech_like(1.2), rest]))
    backend = RealtimeBackend(answer_ms=4_000)
    async with agent(backend, tiny_folder) as server, browsing(chromium, *speaking(voice)) as page:
        await ready(page, server.url)
        await expect(page.locator("h1")).to_have_text("Talk with a face that answers")
        await note(page, "#caption", "#status")
        await page.click("#start")
        await heard(page)
        await were_said(page, "#caption", SPOKEN, TRANSCRIPT)
        await were_said(page, "#status", "It speaks.", "Say something.")
