"""Fixtures of the tests in real browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.e2e.browser import Chromium, chromium_started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Chromium]:
    """Chromium for a module's tests, which run in the module's loop: `pytest.mark.asyncio(loop_scope="module")`."""
    async with chromium_started() as started:
        yield started
