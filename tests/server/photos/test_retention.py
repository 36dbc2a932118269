"""Visitors' photos leave after their days; those of the server's own user stay."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from engines.manifest import Manifest
from streamer.avatar.bundle_files import PORTRAIT
from streamer.avatar.catalogue import list_avatars
from streamer.avatar.gallery import Gallery
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.server.photos.retention import expire
from tests.families import tiny_family
from tests.waiting import eventually

OLD, NEW, OPERATORS = "photo-old", "photo-new", "prepared"


def bundle(home: Path, family: Path, name: str, owner: str, days: float) -> None:
    folder = home / "avatars" / name
    shutil.copytree(family / "avatars" / tiny_family.NAME, folder)
    about = json.loads((folder / "avatar.json").read_text()) | {"owner": owner}
    (folder / "avatar.json").write_text(json.dumps(about))
    then = time.time() - days * 86_400
    os.utime(folder / PORTRAIT, (then, then))


@pytest.mark.usefixtures("own_home")
async def test_only_what_visitors_sent_too_long_ago_is_removed(own_home: Path, tiny_folder: Path) -> None:
    for name, owner, days in ((OLD, "ada", 8), (NEW, "ada", 6), (OPERATORS, "", 100)):
        bundle(own_home, tiny_folder, name, owner, days)
    manifest = Manifest.load(tiny_folder)
    gallery = Gallery.load(manifest, list_avatars(manifest), tiny_family.NAME)
    worker = InferenceWorker(WorkerSettings(tiny_folder, None, 1), tiny_family.SIZE**2)
    expiring = asyncio.create_task(expire(manifest, worker, lambda: gallery, 7))
    await eventually(lambda: OLD not in {portrait.name for portrait in gallery.portraits()})
    expiring.cancel()
    assert {portrait.name for portrait in gallery.portraits()} == {tiny_family.NAME, NEW, OPERATORS}
    assert sorted(path.name for path in (own_home / "avatars").iterdir()) == [NEW, OPERATORS]
