"""Stores that are not as they should be: one line says what is wrong, and no wait is without an end."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from streamer.cluster.shelves import store as stores
from streamer.cluster.shelves.store import Store
from streamer.core.errors import ConfigError, StoreError
from tests.cluster.s3 import BUCKET, MISSING, s3_server


def test_files_of_a_folder_that_comes_to_be_with_the_first(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/new")
    assert (store.names("a"), store.has("a/b/c"), store.read("a/b/c", 10)) == ([], False, None)
    store.write("a/b/c", b"text")
    assert (store.names("a"), store.has("a/b/c"), store.read("a/b/c", 10)) == (["b/c"], True, b"text")
    assert store.read("a/b/c", 3) is None  # more than is wanted
    store.remove("a/b/c")
    store.remove("a/b/c")
    assert store.names("a") == []


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(f"file://{tmp_path}/file/shelf")
    with pytest.raises(StoreError, match="cannot be written"):
        store.write("a", b"")
    with pytest.raises(ConfigError, match="nowhere"):
        Store("nowhere://x")


def told(act: Callable[[], object]) -> str:
    """The one line that a failure comes to."""
    with pytest.raises(StoreError) as raised:
        act()
    assert "\n" not in str(raised.value)
    return re.sub(r".*\((.*)\)", r"\1", str(raised.value))


def test_a_bucket_that_is_not_there_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(monkeypatch) as url:
        Store(f"{url}/avatars").check()  # an empty one is no mistake
        missing = Store("s3://nowhere/avatars")
        for act in (missing.check, lambda: missing.names("a"), lambda: missing.write("a", b"x")):
            assert told(act) == "The specified bucket does not exist"


def test_s3_without_credentials_or_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason=MISSING)
    monkeypatch.setattr(stores, "CONNECT_S", 0.5)
    monkeypatch.setattr(stores, "ANSWER_S", 0.5)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = "http://{}:{}".format(*silent.getsockname())
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert told(Store(f"{BUCKET}/refuses").check).startswith("no connection; AWS_ENDPOINT_URL")
        silent.listen(5)
        start = time.monotonic()
        assert told(Store(f"{BUCKET}/silent").check) == "no answer in time"
        assert time.monotonic() - start < 60
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # which have had credentials
    assert told(Store(f"{BUCKET}/nobody").check).startswith("no credentials; set AWS_ACCESS_KEY_ID")
