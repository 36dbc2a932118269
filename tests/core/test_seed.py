"""The seed of a session's face."""

from __future__ import annotations

from streamer.core.options import any_seed


def test_a_caller_who_calls_again_finds_the_same_face_and_nobody_else_does() -> None:
    assert any_seed("ticket-of-one") == any_seed("ticket-of-one") != any_seed("ticket-of-another")
    assert len({any_seed() for _ in range(8)}) > 1
    assert 0 <= any_seed("x") < 1 << 32
