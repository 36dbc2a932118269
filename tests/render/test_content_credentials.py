"""Signed files, read back by the C2PA project's own reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.core.disclosure import COMMENT, DIGITAL_SOURCE_TYPE
from streamer.core.errors import ConfigError
from streamer.render import video_file
from streamer.render.content_credentials import Signer
from streamer.render.own_certificate import CERTIFICATES, KEY, make_certificate
from streamer.render.video_file import VideoWriter

av = pytest.importorskip("av")
c2pa = pytest.importorskip("c2pa", reason="no c2pa-python here: nothing proves that files are signed")


def write(path: Path, signer: Signer | None) -> Path:
    with VideoWriter(path, (64, 64), None, signer=signer) as writer:
        for shade in range(5):
            writer.write(np.full((64, 64, 3), 40 * shade, np.uint8))
    return path


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """The reader's verdict and the manifest."""
    with c2pa.Reader(path) as reader:
        found = json.loads(reader.json())
        return str(reader.get_validation_state()), found["manifests"][found["active_manifest"]]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_file_says_by_whom_and_how_it_was_made(tmp_path: Path, suffix: str) -> None:
    film = write(tmp_path / f"film{suffix}", Signer.open(None))
    state, manifest = read(film)
    assert state == "Valid"  # intact; "Trusted" needs a certificate of the trust list
    assert manifest["title"] == film.name
    (actions,) = [entry["data"]["actions"] for entry in manifest["assertions"] if "actions" in entry["label"]]
    assert [action["digitalSourceType"] for action in actions] == [DIGITAL_SOURCE_TYPE]
    assert manifest["signature_info"]["issuer"] == "avatar-streamer"
    with av.open(str(film)) as opened:
        assert len(list(opened.decode(video=0))) == 5
    assert [path.name for path in tmp_path.iterdir()] == [film.name]


def test_an_altered_picture_is_noticed(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", Signer.open(None))
    data = bytearray(film.read_bytes())
    data[data.index(b"mdat") + 60] ^= 1
    film.write_bytes(data)
    assert read(film)[0] == "Invalid"


def test_the_own_certificate_is_made_once_and_for_its_user_only(own_home: Path) -> None:
    first, second = Signer.open(None), Signer.open(None)
    assert first == second
    assert [path.name for path in own_home.iterdir()] == ["signing"]
    assert (own_home / "signing").stat().st_mode & 0o077 == 0
    assert (own_home / "signing" / KEY).stat().st_mode & 0o077 == 0


def test_certificates_of_ones_own_sign(tmp_path: Path) -> None:
    chain, key = make_certificate()
    (tmp_path / CERTIFICATES).write_bytes(chain)
    (tmp_path / KEY).write_bytes(key)
    assert read(write(tmp_path / "film.mp4", Signer.open(tmp_path)))[0] == "Valid"


@pytest.mark.parametrize(
    ("certificates", "key", "words"),
    [
        (None, None, "expected certificates.pem"),
        (b"", b"no key", "not an unencrypted private key"),
        (b"no certificate", make_certificate()[1], "cannot sign with it"),
        (make_certificate()[0], make_certificate()[1], "cannot sign with it"),  # of two chains
    ],
    ids=["missing", "key", "certificate", "another key"],
)
def test_what_cannot_sign_is_one_line(
    tmp_path: Path, certificates: bytes | None, key: bytes | None, words: str
) -> None:
    for name, data in ((CERTIFICATES, certificates), (KEY, key)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=words) as caught:
        Signer.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_no_manifest_is_refused_before_it_is_made() -> None:
    video_file.check(Path("film.webm"), None)
    with pytest.raises(ConfigError, match=r"film\.webm: such a file cannot be signed; expected .*\.mp4 or \.mov"):
        video_file.check(Path("film.webm"), None, sign=True)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_every_file_says_in_its_metadata_that_it_is_generated(tmp_path: Path, suffix: str) -> None:
    with av.open(str(write(tmp_path / f"film{suffix}", None))) as opened:
        found = {name.lower(): value for name, value in opened.metadata.items()}
    assert found["comment"] == COMMENT
