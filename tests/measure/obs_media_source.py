"""`avatar camera --output` as OBS Studio itself plays it: a Media Source, looked at by obs-websocket (`make obs`).

Prints what it finds and leaves pictures; ends with 1 when the avatar is not seen talking.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.audio.format import RATE
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.rates import FPS
from streamer.output.destination import Destination
from streamer.output.muxed_output import MuxedOutput
from streamer.vision.landmarks import shared_landmarker
from tests.e2e import obs
from tests.e2e.obs import Obs, ObsError
from tests.fakes.muxed import packet, picture
from tests.fakes.ports import free_port
from tests.fakes.sound import speech_like, write_wav

PARTS = ("udp", "tcp", "rtmp", "file", "sync")
GREEN = "#00b140"
SQUARE = ("--background", GREEN, "--width", "720", "--height", "720")
AVATAR, BACKDROP = "Avatar", "Backdrop"
PLAYING = "OBS_MEDIA_STATE_PLAYING"
STREAM = {  # of the Media Source, as its window has them
    "is_local_file": False, "input_format": "mpegts", "buffering_mb": 1, "reconnect_delay_sec": 1,
    "restart_on_activate": False, "close_when_inactive": False, "clear_on_media_end": False, "hw_decode": False,
}  # fmt: skip
KEYED = {"key_color_type": "custom", "key_color": 0xFF40B100, "similarity": 150, "smoothness": 80, "spill": 100}
FINE = {  # a canvas that is drawn often: a picture is shown with the next frame of OBS
    "baseWidth": 640, "baseHeight": 360, "outputWidth": 640, "outputHeight": 360,
    "fpsNumerator": 50, "fpsDenominator": 1,
}  # fmt: skip
INNER_LIPS = (13, 14)  # of the face mesh
LOOKS = 8  # screenshots
PATIENCE_S = 40.0
LIMIT_MS = 40 + 20  # what people do not notice, and a frame of OBS, which shows a picture with its next
BEATS = 20  # flashes with clicks, one a second


class Report:
    """What was found; `failed` tells whether something was not as it should be."""

    def __init__(self, pictures: Path) -> None:
        self.failed = False
        self._pictures = pictures
        pictures.mkdir(parents=True, exist_ok=True)

    def say(self, good: bool, text: str) -> None:
        self.failed |= not good
        print(f"{'ok  ' if good else 'BAD '} {text}", flush=True)

    def keep(self, name: str, rgb: ByteArray) -> None:
        cv2.imwrite(str(self._pictures / name), np.ascontiguousarray(rgb[:, :, ::-1]))


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.measure.obs_media_source", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the stream is watched (default: 20)")
    parser.add_argument("--speech", type=Path, help="what the avatar says (default: espeak-ng's, else vowels)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to look at (default: all)")
    parser.add_argument("--pictures", type=Path, default=Path("build/obs"), help="folder for the screenshots")
    args = parser.parse_args()
    if missing := obs.missing():
        print(f"missing: {', '.join(missing)}; Debian and Ubuntu: apt install {obs.PACKAGES}", file=sys.stderr)
        return 2
    report = Report(args.pictures)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        speech = args.speech or _speech(home)
        with obs.running(home / "obs") as studio:
            version = studio.remote.ask("GetVersion")
            print(f"OBS {version['obsVersion']}, obs-websocket {version['obsWebSocketVersion']}", flush=True)
            if "udp" in args.parts:
                watch_stream(studio, report, speech, args.seconds)
            if "tcp" in args.parts:
                watch_receiver(studio, report, speech, "tcp://127.0.0.1:{port}", "?listen=1")
            if "rtmp" in args.parts:
                watch_receiver(studio, report, speech, "rtmp://127.0.0.1:{port}/live/avatar", "")
            if "file" in args.parts:
                watch_file(studio, report, speech, home / "speech.mp4")
            if "sync" in args.parts:
                measure_sync(studio, report)
    return int(report.failed)


def watch_stream(studio: Obs, report: Report, speech: Path, seconds: float) -> None:
    """A green avatar by UDP, keyed out over a backdrop."""
    url = f"udp://127.0.0.1:{free_port()}"
    _backdrop(studio)
    with _source(studio, STREAM | {"input": url}, keyed=True), _camera(speech, url, *SQUARE) as camera:
        _check_face(studio, report, "udp")
        report.keep("scene.png", studio.remote.screenshot(obs.SCENE))
        report.keep("window.png", studio.window())
        drawn = [_stats(studio)["activeFps"]]
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up and camera.poll() is None:
            time.sleep(2.0)
            drawn.append(_stats(studio)["activeFps"])
        state = _state(studio)
        report.say(state == PLAYING, f"udp: {state} at the end; OBS drew {np.median(drawn):.1f} frames a second")
        camera.terminate()
        camera.wait()
        with _camera(speech, url, *SQUARE):
            _check_face(studio, report, "udp, the avatar started again")


def watch_receiver(studio: Obs, report: Report, speech: Path, pattern: str, more: str) -> None:
    """OBS waits for the avatar's connection."""
    url = pattern.format(port=free_port())
    kind = url.partition(":")[0]
    settings = STREAM | {"input": url + more, "ffmpeg_options": "" if more else "listen=1"}
    with _source(studio, settings | {"input_format": "flv" if kind == "rtmp" else "mpegts"}):
        time.sleep(1.0)
        with _camera(speech, url):
            _check_face(studio, report, kind)


def watch_file(studio: Obs, report: Report, speech: Path, path: Path) -> None:
    """What was written to a file."""
    with _camera(speech, str(path)) as camera:
        time.sleep(8.0)
        camera.terminate()
    with _source(studio, {"is_local_file": True, "local_file": str(path), "looping": True, "hw_decode": False}):
        _check_face(studio, report, path.suffix)


def measure_sync(studio: Obs, report: Report) -> None:
    """Flashes with clicks at known moments, through the same output: how far apart they are in OBS's recording, and how
    long after they were handed over OBS shows them.
    """
    url = f"udp://127.0.0.1:{free_port()}"
    studio.remote.ask("SetVideoSettings", **FINE)
    with _source(studio, STREAM | {"input": url}), MuxedOutput(Destination.parse(url), Fit(640, 360)) as output:
        studio.remote.ask("StartRecord")
        stop, shown = threading.Event(), list[float]()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(_watch_flashes, studio, stop)
            try:
                shown = _beat(output)
                time.sleep(2.0)  # the last ones are still to be seen
            finally:
                stop.set()
            seen = watching.result()
        path = Path(studio.remote.ask("StopRecord")["outputPath"])
        time.sleep(1.0)
    flashes, clicks = _events(path)
    offsets = [1000 * (click - flashes[np.abs(flashes - click).argmin()]) for click in clicks]
    delays = [1000 * (moment - start) for moment, start in zip(seen[::-1], shown[::-1], strict=False)]
    middle, most = float(np.median(offsets)), float(np.abs(offsets).max())
    report.say(
        len(offsets) >= BEATS - 3 and most <= LIMIT_MS,
        f"sound after its picture in OBS's recording: {middle:+.0f} ms (median of {len(offsets)}, "
        f"{min(offsets):+.0f} .. {max(offsets):+.0f}); a frame of OBS is 20 ms here",
    )
    print(
        f"     from the output to OBS's picture: {np.median(delays or [np.nan]):.0f} ms (median of {len(delays)})",
        flush=True,
    )


def _beat(output: MuxedOutput) -> list[float]:
    """Show and play in real time; returns when each flash was handed over."""
    output.begin(0)
    handed: list[float] = []
    start = time.monotonic()
    for frame in range((BEATS + 2) * FPS):
        time.sleep(max(0.0, start + frame / FPS - time.monotonic()))
        bright, first = frame >= FPS and frame % FPS < FPS // 2, frame >= FPS and frame % FPS == 0
        output.play(2 * frame, packet(first))
        output.play(2 * frame + 1, packet())
        output.show(frame, picture(bright))
        if first:
            handed.append(time.monotonic())
    return handed


def _watch_flashes(studio: Obs, stop: threading.Event) -> list[float]:
    """Moments at which OBS's picture of the source became bright; it is asked all the time."""
    moments: list[float] = []
    before = True
    while not stop.is_set():
        with contextlib.suppress(ObsError):  # there is no picture yet
            bright = bool(studio.remote.screenshot(AVATAR, 16)[4, 8].mean() > 128)  # its middle
            if bright and not before:
                moments.append(time.monotonic())
            before = bright
        time.sleep(0.005)
    return moments


def _events(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds at which a recording became bright, and at which it clicked."""
    times: list[float] = []
    grey: list[float] = []
    sound: list[NDArray[np.floating]] = []
    start = 0.0
    with av.open(str(path), "r") as film:
        for frame in film.decode(film.streams.video[0], film.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                times.append(frame.time or 0.0)
                grey.append(float(frame.to_ndarray(format="gray")[180, 320]))
            elif isinstance(frame, av.AudioFrame):
                start = start if sound else frame.time or 0.0
                sound.append(frame.to_ndarray()[0])
    rises = np.flatnonzero(np.diff((np.array(grey) > 128).astype(int)) > 0) + 1
    loud = np.flatnonzero(np.abs(np.concatenate(sound)) > 0.2)
    firsts = loud[np.diff(loud, prepend=-RATE) > RATE // 4]
    return np.array(times)[rises], start + firsts / RATE


def _check_face(studio: Obs, report: Report, what: str) -> None:
    """Whether a face is there, and its mouth moves."""
    landmarker = shared_landmarker()
    try:
        _wait(lambda: _state(studio) == PLAYING and len(landmarker.find(studio.remote.screenshot(AVATAR, 360))) == 1)
        time.sleep(2.0)  # the portrait gives way to the session
    except TimeoutError:
        report.say(False, f"{what}: no face within {PATIENCE_S:.0f} s; the source is {_state(studio)}")
        return
    looks = []
    for _ in range(LOOKS):
        looks.append(studio.remote.screenshot(AVATAR))
        time.sleep(0.27)
    faces = [found[0] for found in map(landmarker.find, looks) if found]
    upper, lower = INNER_LIPS
    openings = [float(np.linalg.norm(face.points[upper] - face.points[lower]) / face.eye_distance) for face in faces]
    sheet = np.hstack([cv2.resize(look, (180 * look.shape[1] // look.shape[0], 180)) for look in looks])
    report.keep(f"source-{what.partition(',')[0].strip('.')}.png", np.asarray(sheet, np.uint8))
    moves = len(faces) == LOOKS and max(openings) - min(openings) > 0.04
    told = " ".join(f"{opening:.2f}" for opening in openings)
    report.say(moves, f"{what}: a face in {len(faces)} of {LOOKS} screenshots, mouth open (eye distances) {told}")


@contextlib.contextmanager
def _source(studio: Obs, settings: dict[str, object], keyed: bool = False) -> Iterator[None]:
    """A Media Source in the scene."""
    studio.remote.ask(
        "CreateInput", sceneName=obs.SCENE, inputName=AVATAR, inputKind="ffmpeg_source", inputSettings=settings
    )
    if keyed:
        studio.remote.ask(
            "CreateSourceFilter",
            sourceName=AVATAR,
            filterName="Chroma Key",
            filterKind="chroma_key_filter_v2",
            filterSettings=KEYED,
        )
    try:
        yield
    finally:
        studio.remote.ask("RemoveInput", inputName=AVATAR)
        _wait(lambda: AVATAR not in [each["inputName"] for each in studio.remote.ask("GetInputList")["inputs"]])


def _backdrop(studio: Obs) -> None:
    width, height = obs.CANVAS
    settings = {"color": 0xFF8A4A2B, "width": width, "height": height}  # ABGR
    studio.remote.ask(
        "CreateInput", sceneName=obs.SCENE, inputName=BACKDROP, inputKind="color_source_v3", inputSettings=settings
    )


@contextlib.contextmanager
def _camera(speech: Path, output: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "streamer", "camera", "--input", str(speech), "--output", output, *more]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _speech(folder: Path) -> Path:
    """About two minutes of it."""
    text = "Hello! I am your avatar. How are you today? Many people believe that moments of beauty belong to us all. "
    path = folder / "speech.wav"
    try:
        subprocess.run(["espeak-ng", "-w", str(path), text * 16], check=True)
    except FileNotFoundError:
        write_wav(path, speech_like(120.0))
    return path


def _state(studio: Obs) -> str:
    return str(studio.remote.ask("GetMediaInputStatus", inputName=AVATAR)["mediaState"])


def _stats(studio: Obs) -> dict[str, float]:
    return studio.remote.ask("GetStats")


def _wait(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        with contextlib.suppress(ObsError):
            if condition():
                return
        time.sleep(0.25)
    raise TimeoutError


if __name__ == "__main__":
    sys.exit(main())
