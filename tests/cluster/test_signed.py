"""Signed addresses: read by whoever knows the secret, forged by nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.cluster.signed import Signed, Signer

names = st.text("abcXYZ019-_", min_size=1, max_size=128)
SIGNER = Signer(b"secret")


@given(names, names)
def test_what_was_signed_is_read_by_any_gateway_of_the_cluster(worker: str, name: str) -> None:
    text = SIGNER.sign(worker, name)
    if len(text) <= 256:
        assert Signer(b"secret").read(text) == Signed(worker, name)
    assert Signer(b"another").read(text) is None
    path = SIGNER.sign_path(worker, f"/whep/viewer/{name}")
    if len(text) <= 256:
        assert SIGNER.read_path(f"{path}/more") == (Signed(worker, name), f"/whep/viewer/{name}/more")


@given(names, names, st.data())
def test_one_letter_less_or_more_is_no_signature(worker: str, name: str, data: st.DataObject) -> None:
    text = SIGNER.sign(worker, name)
    where = data.draw(st.integers(0, len(text) - 1))
    assert SIGNER.read(text[:where] + text[where + 1 :]) is None
    assert SIGNER.read(f"{text}x") is None


@given(st.text())
def test_nothing_else_is_read(text: str) -> None:
    assert SIGNER.read(text) is None
    assert SIGNER.read_path(text) is None
    assert SIGNER.pass_word not in text
