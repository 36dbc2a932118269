"""`avatar camera --server URL`: a camera whose face comes from elsewhere, and what cannot work in one line."""

from __future__ import annotations

import datetime
import http.server
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qsl

import av
import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from engines import FAMILY_VARIABLE
from streamer.cli.main import main
from streamer.core.options import FaceOptions
from streamer.desktop.remote_face import ServerChoice
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.stages.face_options import of_query, to_query
from streamer.webrtc.ice import offer_only
from tests.e2e import test_virtual_camera
from tests.fakes.sound import speech_like, write_wav

driver = test_virtual_camera.driver  # a camera without a driver, for every test here
SECONDS = 1.0


@pytest.fixture(scope="module", autouse=True)
def every_address() -> Iterator[None]:
    """The command, in this process, offers to servers of this machine the loopback addresses alone from then on."""
    yield
    offer_only(None)


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--threads", "1"]) as launched:
        yield launched


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech_like(SECONDS))


@pytest.mark.process
def test_the_servers_face_speaks_a_file_through_the_camera(
    server: LaunchedServer,
    speech: Path,
    driver: type[test_virtual_camera.Driver],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FAMILY_VARIABLE, "/nowhere")  # nothing is loaded here
    command = ["camera", "--server", server.url.rstrip("/"), "--backend", "fake", "--input", str(speech)]
    assert main([*command, "--width", "96", "--height", "64", "--avatar", "dot", "--still"]) == 0
    told = capsys.readouterr()
    assert f"Dot speaks with the sound of {speech}, 440 ms and the network's time after it" in told.out
    assert told.err == ""
    assert len(driver.got) >= SECONDS * 25
    assert len({rgb.tobytes() for rgb in driver.got}) > 10
    assert driver.closed == 1


@pytest.mark.process
def test_the_servers_face_speaks_into_a_file(server: LaunchedServer, speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    assert main(["camera", "--server", server.url, "--input", str(speech), "--output", str(out)]) == 0
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with av.open(str(out)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(frames) / 25 == pytest.approx(len(sound) / 48_000, abs=0.2)
    assert len(frames) / 25 > SECONDS
    assert np.abs(sound).max() > 0.05
    assert max(np.abs(frame.astype(int) - frames[-1]).mean() for frame in frames) > 0.5  # the face moved


@pytest.mark.process
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--avatar", "nobody"], r"http://localhost:\d+/: no avatar 'nobody'; there are dot"),
        (["--lookahead", "5000"], r"refused, 400: .*takes 0 to"),
        (["--yaw", "9.9", "--roll", "50"], r"refused, 400: roll of 50 degrees"),
        (["--engines", "here"], r"--engines is for a face that is made here; with --server, say it to `avatar serve`"),
        (["--threads", "2"], r"--threads is for a face that is made here"),
        (["--record", "x.npz"], r"--record is for a face that is made here"),
    ],
)
def test_what_the_server_will_not_do_is_one_line(
    server: LaunchedServer, speech: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert refusal(["--server", server.url, "--input", str(speech), *more], says, capsys)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8080", r"localhost:8080 found, an address such as http://localhost:8080 expected"),
        ("ftp://localhost/", r"an address such as"),
        ("http://localhost:99999", r"an address such as"),
        ("http://nowhere.invalid", r"http://nowhere.invalid/: (no such host|cannot be reached)"),
        ("http://127.0.0.1:{free}", r"http://127.0.0.1:\d+/: cannot be reached \(Connection refused\)"),
    ],
)
def test_a_wrong_address_is_one_line(speech: Path, capsys: pytest.CaptureFixture[str], url: str, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert refusal(["--server", url.format(free=free), "--input", str(speech)], says, capsys)


def test_speech_goes_to_the_server_and_to_no_port_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(["--server", "http://localhost:1", "--speech", "9000"], r"say --speech without a port", capsys)


@pytest.mark.process
def test_https_where_there_is_none_is_one_line(
    server: LaunchedServer, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.url.replace("http", "https", 1)
    assert refusal(["--server", url, "--input", str(speech)], r"no encrypted connection \(.*\); is it http", capsys)


def test_an_untrusted_certificate_is_one_line(speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering({"/avatars": LISTING}, self_signed(tmp_path)) as url:
        says = r"its certificate is not to be trusted \(self-signed certificate\)"
        assert refusal(["--server", url, "--input", str(speech)], says, capsys)


PICTURE = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
HUGE = PICTURE[:16] + (100_000).to_bytes(4, "big") * 2 + PICTURE[24:]
ESCAPE = json.dumps({"avatars": [{"name": "x\x1b[2J", "title": "X", "default": True}]}).encode()
LISTING = json.dumps({"avatars": [{"name": "x", "title": "X", "default": True}]}).encode()


@pytest.mark.parametrize(
    ("listing", "picture", "says"),
    [
        (None, b"", r"not a server of avatars; it answers 404 to avatars"),
        (
            b'{"avatars": [{"name": "x\\u001b[2J", "title": "", "default": true}]}',
            b"",
            r"answers 404 to avatars/x%1B%5B2J",
        ),
        (b"<html>", b"", r"not a server of avatars; it has no list of them"),
        (b"[]", b"", r"not a server of avatars; it has no list of them"),
        (b"[" * 100_000, b"", r"not a server of avatars; it has no list of them"),
        (b" " * 300_000, b"", r"more than 262144 bytes"),
        (LISTING, b"no picture", r"its avatar's picture cannot be read"),
        (LISTING, HUGE, r"its avatar's picture cannot be read"),
        (LISTING, b"x" * (17 << 20), r"more than 16777216 bytes"),
        (LISTING, PICTURE, r"refused, 404"),
    ],
    ids=["none", "escape", "page", "list", "deep", "long", "no picture", "huge picture", "long picture", "no sessions"],
)
def test_a_server_of_something_else_is_one_line(
    speech: Path, capsys: pytest.CaptureFixture[str], listing: bytes | None, picture: bytes, says: str
) -> None:
    with answering({"/avatars": listing, "/avatars/x.png": picture}) as url:
        assert refusal(["--server", url, "--input", str(speech)], says, capsys)


def test_a_face_option_is_spelt_as_the_server_reads_it() -> None:
    face = FaceOptions(still=True, expression_scale=0.5, yaw=-5.0)
    query = dict(parse_qsl(ServerChoice("u", None, 100, face).query("a b", False)))
    assert query["avatar"] == "a b"
    assert (query["lookahead"], query["speech"]) == ("100", "1")
    assert of_query(query, FaceOptions()) == face
    assert to_query(FaceOptions()) == {}


def refusal(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether the command ends with this one line."""
    try:
        status = main(["camera", "--backend", "fake", *options])
    except SystemExit as end:
        status = int(end.code or 0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("avatar: ")
    assert re.search(says, line), line
    return status == 2


def self_signed(folder: Path) -> Path:
    """A certificate for localhost and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now - day).not_valid_after(now + day).sign(key, hashes.SHA256())
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "localhost.pem"
    path.write_bytes(plain + certificate.public_bytes(Encoding.PEM))
    return path


@contextmanager
def answering(answers: dict[str, bytes | None], certificate: Path | None = None) -> Iterator[str]:
    """An HTTP server that has these pages; None is a page that it has not. With a certificate, it speaks TLS."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            with suppress(ConnectionError):  # the other side may have had enough
                self.wfile.write(body or b"")

        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://localhost:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
