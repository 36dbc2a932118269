"""Chromium for tests and measurements: headless, with a file for a microphone."""

from __future__ import annotations

import shutil
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",  # containers have no user namespaces; the only pages it sees are ours
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
MICROPHONE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


def speaking(sound: Path) -> list[str]:
    """Arguments for a microphone that hears a WAV file, again and again."""
    return [*MICROPHONE, f"--use-file-for-fake-audio-capture={sound}"]
