"""The log as JSON: an object a line, with the session that it is about, and no more than was meant."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from streamer.core.log import JsonFormatter, fields, of_session

TOKEN = "a-token-that-nobody-is-to-see"


@pytest.fixture
def lines() -> Any:
    """A logger, and what it wrote."""
    written: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = self.format(record)
            assert "\n" not in text
            written.append(json.loads(text))

    handler = Keep()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("tests.log")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger, written
    logger.removeHandler(handler)


def test_a_line_has_time_level_and_message_and_the_fields_given(lines: Any) -> None:
    logger, written = lines
    logger.warning("%s is\nlate", "it", extra=fields(status=200, route="/session/{token}"))
    (line,) = written
    assert (line["level"], line["logger"], line["message"]) == ("warning", "tests.log", "it is\nlate")
    assert (line["status"], line["route"]) == (200, "/session/{token}")
    assert line["time"].endswith("+00:00")
    assert "session" not in line


def test_an_error_comes_with_its_way(lines: Any) -> None:
    logger, written = lines
    try:
        raise ValueError("so")
    except ValueError:
        logger.exception("it failed")
    assert "ValueError: so" in written[0]["error"]


async def test_lines_of_a_session_and_of_its_tasks_carry_its_name_and_not_its_token(lines: Any) -> None:
    logger, written = lines

    async def later() -> None:
        await asyncio.sleep(0)
        logger.info("in a task")

    with of_session(TOKEN):
        logger.info("inside")
        task = asyncio.create_task(later())
    await task
    logger.info("outside")
    names = [line.get("session") for line in written]
    assert names[0] == names[1] != None  # noqa: E711 - all three are compared
    assert names[2] is None
    assert TOKEN not in json.dumps(written)


@pytest.mark.process
def test_a_commands_notes_are_lines_of_the_log() -> None:
    command = [sys.executable, "-m", "streamer", "--log-format", "json", "remove", "nobody"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    (line,) = map(json.loads, run.stderr.splitlines())
    assert run.returncode == 2
    assert "no avatar 'nobody'" in line["message"]
