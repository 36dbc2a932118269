"""Downloads over bad lines, against a real HTTP server that misbehaves as told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("safetensors", reason="safetensors is not installed; pip install 'avatar-streamer[export]'")

from export.sadtalker.fetch_checkpoints import CHECKSUMS, fetch
from export.tools import download as d

FILES = ("SadTalker_V0.0.2_256.safetensors", "mapping_00229-model.pth.tar", "mapping_00109-model.pth.tar")
QUICK = d.Retry(attempts=3, first_pause=0.0)


@dataclass
class Behaviour:
    """drop_after: bytes of a body after which the connection ends; ranges: the Range headers that came."""

    contents: dict[str, bytes]
    drop_after: int | None = None
    knows_ranges: bool = True
    errors: list[int] = field(default_factory=list)  # answered first
    etag: str = '"one"'
    ranges: list[str | None] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        told, asked = self.behaviour, self.headers.get("Range")
        told.ranges.append(asked)
        body = told.contents.get(self.path.rpartition("/")[2])
        if told.errors:
            return self.send_error(told.errors.pop(0))
        if body is None:
            return self.send_error(404)
        stale = self.headers.get("If-Range", told.etag) != told.etag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and told.knows_ranges and not stale else 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", told.etag)
        self.end_headers()
        part = body[start:][: told.drop_after]
        told.sent += len(part)
        self.wfile.write(part)
        self.close_connection = True
        return None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class calls it so)
        """Say nothing."""


@dataclass
class Server:
    url: str
    behaviour: Behaviour


@pytest.fixture
def server() -> Iterator[Server]:
    contents = {file: hashlib.sha256(file.encode()).digest() * 3000 for file in FILES}
    behaviour = Behaviour(contents)
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield Server(f"http://127.0.0.1:{http.server_port}/release", behaviour)
    http.shutdown()
    thread.join()
    http.server_close()


def get(server: Server, part: Path) -> bytes:
    d.download(f"{server.url}/{FILES[0]}", part, lambda done, total: None, QUICK)
    return part.read_bytes()


def test_dropped_connections_are_resumed_without_sending_anything_twice(server: Server, tmp_path: Path) -> None:
    server.behaviour.drop_after = 20_000
    body = server.behaviour.contents[FILES[0]]
    assert get(server, tmp_path / "x.part") == body
    assert server.behaviour.sent == len(body)
    assert server.behaviour.ranges[1] == "bytes=20000-"


def test_a_server_that_ignores_ranges_is_started_over(server: Server, tmp_path: Path) -> None:
    server.behaviour.knows_ranges = False
    part = tmp_path / "x.part"
    part.write_bytes(b"begun earlier")
    assert get(server, part) == server.behaviour.contents[FILES[0]]


def test_a_server_that_never_gets_further_is_given_up(server: Server, tmp_path: Path) -> None:
    server.behaviour.knows_ranges = False
    server.behaviour.drop_after = 20_000
    with pytest.raises(d.DownloadError, match="gave up after 3 attempts"):
        get(server, tmp_path / "x.part")


def test_two_versions_of_a_file_are_never_mixed(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    server.behaviour.drop_after = 20_000

    def fail_from_now_on(done: int, total: int | None) -> None:
        server.behaviour.errors = [500] * QUICK.attempts

    with pytest.raises(d.DownloadError, match="run it again to go on at 20000 bytes"):
        d.download(f"{server.url}/{FILES[0]}", part, fail_from_now_on, QUICK)
    server.behaviour.drop_after = None
    server.behaviour.contents[FILES[0]] = b"another file" * 9000
    server.behaviour.etag = '"two"'
    assert get(server, part) == b"another file" * 9000


def test_a_part_that_is_already_whole_is_recognised(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(server.behaviour.contents[FILES[0]])
    assert get(server, part) == server.behaviour.contents[FILES[0]]
    assert server.behaviour.sent == 0


def test_busy_servers_are_asked_again_and_missing_files_are_not(server: Server, tmp_path: Path) -> None:
    server.behaviour.errors = [503, 429]
    assert get(server, tmp_path / "x.part")
    with pytest.raises(d.DownloadError, match="HTTP 404"):
        d.download(f"{server.url}/nothing", tmp_path / "y.part", lambda done, total: None, QUICK)
    assert len(server.behaviour.ranges) == 4


def test_other_kinds_of_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(d.DownloadError, match="only http and https"):
        d.download("file:///etc/hostname", tmp_path / "x.part", lambda done, total: None)


def test_a_full_disk_is_reported_before_anything_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(d, "SPARE", 1 << 60)
    with pytest.raises(d.DownloadError, match="0 MB free"):
        get(server, tmp_path / "x.part")
    assert not list(tmp_path.iterdir())


def test_fetching_records_sums_and_checks_them_later(server: Server, tmp_path: Path) -> None:
    server.behaviour.drop_after = 50_000
    fetch(tmp_path, [256], server.url, QUICK)
    sums = json.loads((tmp_path / CHECKSUMS).read_text())
    assert sums == {file: hashlib.sha256(body).hexdigest() for file, body in server.behaviour.contents.items()}
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, CHECKSUMS}

    asked = len(server.behaviour.ranges)
    fetch(tmp_path, [256], server.url, QUICK)
    assert len(server.behaviour.ranges) == asked  # all there

    (tmp_path / FILES[1]).write_bytes(b"damaged")
    with pytest.raises(d.DownloadError, match=rf"{FILES[1]}: damaged or another file .* delete it"):
        fetch(tmp_path, [256], server.url, QUICK)


def test_a_file_other_than_the_recorded_one_is_not_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / CHECKSUMS).write_text(json.dumps({FILES[0]: "0" * 64}))
    with pytest.raises(d.DownloadError, match="not kept"):
        fetch(tmp_path, [256], server.url, QUICK)
    assert {path.name for path in tmp_path.iterdir()} == {CHECKSUMS}
