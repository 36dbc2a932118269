"""A span of a file behaves as a file of its own."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio.ogg_links import FileSpan, link_starts


@given(
    st.lists(st.one_of(st.tuples(st.just("read"), st.integers(-1, 12)), st.tuples(st.just("seek"), st.integers(0, 12))))
)
def test_a_span_reads_and_seeks_as_its_bytes_do(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "span"
    path.write_bytes(bytes(range(20)))
    plain = io.BytesIO(bytes(range(5, 15)))
    with FileSpan(path, 5, 15) as span:
        for step, size in steps:
            assert getattr(span, step)(size) == getattr(plain, step)(size)
            assert span.tell() == plain.tell()
        assert span.seek(-3, io.SEEK_END) == plain.seek(-3, io.SEEK_END)
        assert span.read() == plain.read()
        with pytest.raises(OSError, match="before the start"):
            span.seek(-1)


@given(st.binary(max_size=300))
def test_any_bytes_have_a_first_link(data: bytes) -> None:
    starts = link_starts(io.BytesIO(data))
    assert starts[0] == 0
    assert starts == sorted(set(starts))
