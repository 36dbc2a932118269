"""A stream as its receiver has it, and a file as it lies there, whatever happens in between."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from streamer.audio.format import Samples
from streamer.core.errors import DeviceError, MediaError
from streamer.core.letterbox import Fit
from streamer.desktop.ends import Both
from streamer.output.destination import Destination
from streamer.output.muxed_output import LIVE_WAITING, SOUND_WAITING, MuxedOutput
from tests.fakes.muxed import Seen, decode, look, packet, picture
from tests.fakes.ports import free_port
from tests.waiting import attempts, until

pytestmark = pytest.mark.process

FIT = Fit(128, 64)
DELAY_MS = 100  # no whole number of pictures
FRAMES, FLASH = 50, 30


def output(destination: str | Path) -> MuxedOutput:
    return MuxedOutput(Destination.parse(str(destination)), FIT)


def session(sink: MuxedOutput, frames: int = FRAMES) -> None:
    """A session's calls in their order: packet b at 20 b ms, picture f at DELAY_MS + 40 f; as they are taken."""
    sink.begin(DELAY_MS)
    flash = (DELAY_MS + 40 * FLASH) // 20
    for block in range((DELAY_MS + 40 * frames) // 20):
        sink.play(block, packet(block == flash))
        late = 20 * block - DELAY_MS
        if late % 40 == 0:
            with contextlib.suppress(DeviceError):
                sink.show(late // 40, picture(late // 40 == FLASH))
            let_it_take(sink)


def let_it_take(sink: MuxedOutput) -> None:
    """Nothing is dropped, however slow the machine is."""
    until(lambda: sink._queue.qsize() <= LIVE_WAITING // 3)


def in_step(seen: Seen) -> bool:
    return bool(abs(seen.click - seen.flash) < 0.005)


def test_a_file_begins_with_the_session_s_first_picture(tmp_path: Path) -> None:
    sink = output(tmp_path / "film.mkv")
    for _ in range(20):
        sink.show(-1, picture(bright=True))  # the engines are being loaded
    session(sink)
    sink.close()
    seen = look(tmp_path / "film.mkv")
    assert seen.times == pytest.approx(np.arange(FRAMES) / 25)
    assert seen.flash == FLASH / 25
    assert in_step(seen)
    assert seen.sound_end == pytest.approx(FRAMES / 25, abs=0.04)
    assert sink.seconds == FRAMES / 25
    assert (sink.stats.dropped, sink.stats.sound_dropped) == (0, 0)


def test_a_second_session_follows_the_first(tmp_path: Path) -> None:
    sink = output(tmp_path / "film.mkv")
    session(sink, frames=10)
    session(sink)
    sink.close()
    seen = look(tmp_path / "film.mkv")
    assert seen.times == pytest.approx(np.arange(10 + FRAMES) / 25)
    assert seen.flash == (10 + FLASH) / 25
    assert in_step(seen)


def test_a_session_that_ends_early_leaves_no_file(tmp_path: Path) -> None:
    with output(tmp_path / "film.mp4") as sink:
        sink.show(-1, picture())
    assert list(tmp_path.iterdir()) == []
    assert sink.seconds == 0


def test_a_process_that_is_killed_leaves_a_film_and_is_reported(tmp_path: Path) -> None:
    """The last two seconds at most are missing."""
    sink = output(tmp_path / "film.mp4")
    (process,) = multiprocessing.active_children()
    sink.begin(0)
    rng, frames = np.random.default_rng(0), itertools.count()
    for _ in attempts(step=0.005):
        sink.show(next(frames), rng.integers(0, 255, (64, 64, 3), np.uint8))
        if _written(tmp_path):
            break
    process.kill()
    with pytest.raises(MediaError, match=r"film\.mp4: cannot be written any further .*kept"):
        _show_on(sink, frames)
    sink.close()  # nothing new
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert len(decode(tmp_path / "film.mp4")) > 20


def _written(folder: Path) -> bool:
    """Whether a second at least is on the disk."""
    return any(path.stat().st_size > 100_000 for path in folder.iterdir())


def _show_on(sink: MuxedOutput, frames: Iterator[int]) -> None:
    for _ in attempts():
        sink.show(next(frames), picture())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def address(listener: socket.socket) -> str:
    return f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def received(connection: socket.socket) -> bytes:
    connection.settimeout(60)
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_stream_shows_the_portrait_then_the_session(listener: socket.socket) -> None:
    with ThreadPoolExecutor() as pool:
        stream = pool.submit(lambda: received(listener.accept()[0]))
        with output(address(listener)) as sink:
            for _ in range(7):
                sink.show(-1, picture())
            let_it_take(sink)
            session(sink)
        seen = look(stream.result())
    before = 7 + DELAY_MS // 40  # pictures before frame 0
    assert np.diff(seen.times) == pytest.approx(1 / 25)
    assert len(seen.times) == before + FRAMES
    assert seen.flash - seen.times[0] == pytest.approx((before + FLASH) / 25)
    assert in_step(seen)
    assert seen.key_frames == list(range(0, before + FRAMES, 25))  # who joins waits for a second at most
    assert sink.stats.dropped == 0


def test_a_receiver_that_goes_away_is_reported_and_found_again(listener: socket.socket) -> None:
    sink = output(address(listener))
    first, _ = listener.accept()
    first.close()
    with pytest.raises(DeviceError, match=r"the output tcp://127\.0\.0\.1:\d+ is gone \(.*\)") as told:
        _show_on(sink, itertools.count())
    with ThreadPoolExecutor() as pool:
        stream = pool.submit(lambda: received(listener.accept()[0]))
        for _ in attempts():
            with contextlib.suppress(DeviceError):
                sink.show(-1, picture())
            if sink.stats.reconnected:
                break
        session(sink)
        sink.close()
        seen = look(stream.result())
    assert "\n" not in str(told.value)
    assert in_step(seen)
    assert seen.grey.max() > 100  # half of it are bars
    assert sink.stats.dropped > 0
    assert sink.stats.reconnected == 1


def test_a_receiver_that_takes_nothing_delays_no_other(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with MuxedOutput(Destination.parse(address(listener)), Fit(640, 480)) as sink:
        connection, _ = listener.accept()
        with connection:
            _push_until_dropped(sink)
            assert sink._queue.qsize() <= LIVE_WAITING + SOUND_WAITING
            sink.close()
    assert multiprocessing.active_children() == []


def _push_until_dropped(sink: MuxedOutput) -> None:
    """However much the system's own buffers hold; noise, so that they are soon full."""
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    sink.begin(0)
    deadline = time.monotonic() + 120
    for frame in itertools.count():
        sink.play(2 * frame, packet())
        sink.show(frame, noise)
        if sink.stats.dropped > 100 and sink.stats.sound_dropped > 0:
            return
        assert time.monotonic() < deadline, sink.stats
        time.sleep(0.001)


def test_a_photo_without_a_face() -> None:
    port = free_port()
    with pytest.raises(DeviceError, match=r"cannot be opened \(Connection refused\); is what receives the stream run"):
        output(f"tcp://127.0.0.1:{port}")


def test_udp_needs_no_receiver_and_a_late_one_sees_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with output(f"udp://127.0.0.1:{port}") as sink:
        for _ in range(15):
            sink.show(-1, picture())  # each is answered by ICMP: nobody is there
            time.sleep(0.005)
            let_it_take(sink)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
            late.bind(("127.0.0.1", port))
            late.settimeout(1.0)
            over = threading.Event()
            with ThreadPoolExecutor() as pool:
                packets = pool.submit(lambda: list(_datagrams(late, over)))
                session(sink)
                over.set()
                got = packets.result()
    assert {len(packet) % 188 for packet in got} == {0}
    assert max(map(len, got)) <= 1316
    seen = look(b"".join(got))
    assert seen.grey.max() > 100  # half of it are bars
    assert in_step(seen)


def _datagrams(receiver: socket.socket, over: threading.Event) -> Iterator[bytes]:
    """Until nothing has come for a second since it is over."""
    while True:
        last = over.is_set()
        try:
            yield receiver.recv(65536)
        except TimeoutError:
            if last:
                return


RTMP_RECEIVER = """
import contextlib, sys, av
url, out = sys.argv[1:]
with av.open(url, options={"listen": "1"}) as stream, av.open(out, "w") as file:
    copies = {each.index: file.add_stream_from_template(each) for each in stream.streams}
    with contextlib.suppress(OSError):  # so the end is told
        for packet in stream.demux():
            packet.stream = copies[packet.stream.index]
            file.mux(packet)
"""


def test_rtmp(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/key"
    receiver = subprocess.Popen([sys.executable, "-c", RTMP_RECEIVER, url, str(tmp_path / "got.mkv")])
    with receiver, _opened(url) as sink:
        session(sink)
        sink.close()
        assert receiver.wait(60) == 0
    seen = look(tmp_path / "got.mkv")
    assert seen.codecs == ("h264", "aac")
    assert len(seen.times) == FRAMES + DELAY_MS // 40
    assert in_step(seen)


def _opened(url: str) -> MuxedOutput:
    """Once the receiver listens."""
    for _ in attempts(step=0.05):
        with contextlib.suppress(DeviceError):
            return output(url)
    raise AssertionError


class Broken:
    lead_s = 0.08

    def play(self, block: int, samples: Samples) -> None:
        raise DeviceError("sound device Cable is gone")


def test_a_sound_device_beside_it_that_fails_costs_the_file_nothing(tmp_path: Path) -> None:
    sink = output(tmp_path / "film.mkv")
    both = Both(sink, Broken())
    sink.begin(0)
    for frame in range(FRAMES):
        for block in (2 * frame, 2 * frame + 1):
            with pytest.raises(DeviceError, match="Cable"):
                both.play(block, packet(block == 2 * FLASH))
        sink.show(frame, picture(frame == FLASH))
    sink.close()
    assert both.lead_s == 0.08
    assert in_step(look(tmp_path / "film.mkv"))
