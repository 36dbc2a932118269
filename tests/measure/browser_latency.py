"""How long a person waits in a real browser: from the microphone to the picture, and to the sound.

    python -m tests.measure.browser_latency [--seconds S] [--json FILE] [options of avatar serve]

Starts a server, opens its page in headless Chromium, speaks vowels through a fake microphone and compares when they
begin: in the microphone's track, in the track that comes back as the browser plays it, and in the mouth of the pictures
as the browser paints them. All three by one clock; the sound card's own delay and the screen's are not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page, async_playwright

from streamer.audio.format import RATE
from streamer.core.errors import AvatarError, SessionError
from streamer.measure.caller import Seen
from streamer.measure.launched_server import launch
from streamer.measure.onsets import LOUD, PERIOD_S, SEARCH_S, VOICED_S, seen_after, vowels
from tests.e2e.browser import ARGUMENTS, CHROMIUM, speaking
from tests.fakes.sound import write_wav

FEWEST_FPS = 24.0  # pictures a second that the browser painted, of 25 sent
LEAST_S = 20.0  # ten beginnings and what it takes to connect
SETTLE_S = 3.0
MOUTH = 24  # side of the mouth's picture, in pixels
FILE_S = 40 * PERIOD_S  # of the microphone's file; a whole number of vowels, as it is repeated

Peaks = NDArray[np.float64]  # one value for each block of the audio clock

# Gives the measurement the page's microphone and what comes back. The blocks' peaks (of microphone and sound) and the
# mouths are kept with the audio clock's time in seconds; a picture's moment is translated to it by the smallest
# difference there was between that clock and the page's when a message arrived.
SPY = """
(() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => (window.microphone = await ask(wish));
  const meter = `registerProcessor("meter", class extends AudioWorkletProcessor {
    process(inputs) {
      const peak = (input) => (input[0] ? input[0].reduce((most, x) => Math.max(most, Math.abs(x)), 0) : 0);
      this.port.postMessage([currentTime, peak(inputs[0]), peak(inputs[1])]);
      return true;
    }
  });`;
  window.measured = { blocks: [], pictures: [], offset: Infinity };
  window.measure = async (side) => {
    const { video } = document.getElementById("avatar");
    const context = new AudioContext();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([meter], { type: "text/javascript" })));
    const node = new AudioWorkletNode(context, "meter", { numberOfInputs: 2 });
    const sound = new MediaStream(video.srcObject.getAudioTracks());
    context.createMediaStreamSource(window.microphone).connect(node, 0, 0);
    context.createMediaStreamSource(sound).connect(node, 0, 1);
    node.connect(context.destination);
    node.port.onmessage = ({ data }) => {
      measured.blocks.push(data);
      measured.offset = Math.min(measured.offset, performance.now() / 1000 - data[0]);
    };
    const pen = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    const look = (now) => {
      const [w, h] = [video.videoWidth, video.videoHeight];
      pen.drawImage(video, 0.3 * w, 0.62 * h, 0.4 * w, 0.26 * h, 0, 0, side, side);
      const pixels = pen.getImageData(0, 0, side, side).data;
      measured.pictures.push([now / 1000, Array.from({ length: side * side }, (_, i) => pixels[4 * i + 1])]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
})();
"""


@dataclass(frozen=True)
class Latencies:
    """Seconds of each beginning at which both were found, and pictures painted per second."""

    picture: list[float]
    sound: list[float]
    fps: float = float("nan")


def latencies(measured: dict[str, Any]) -> Latencies:
    """From what the page kept."""
    times, microphone, sound = np.array(measured["blocks"], np.float64).T
    pictures = [
        Seen(moment - measured["offset"], (MOUTH, MOUTH), np.array(mouth, np.float32))
        for moment, mouth in measured["pictures"]
    ]
    found = Latencies([], [], _per_second([picture.moment for picture in pictures]))
    for moment in _beginnings(times, microphone):
        heard = times[(times > moment) & (times < moment + SEARCH_S) & (sound > LOUD)]
        seen = seen_after(moment, pictures)
        if heard.size and seen is not None and moment + SEARCH_S < times[-1]:
            found.sound.append(float(heard[0] - moment))
            found.picture.append(seen)
    return found


def _per_second(moments: list[float]) -> float:
    return (len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 1 else 0.0


def _beginnings(times: Peaks, peaks: Peaks) -> list[float]:
    """Moments at which it becomes loud after a pause; one the sound was in already does not count."""
    loud = times[peaks > LOUD]
    pauses = np.diff(loud) > (PERIOD_S - VOICED_S) / 2
    return [float(moment) for moment in loud[1:][pauses]]


async def watch(url: str, sound: Path, seconds: float) -> dict[str, Any]:
    """What the page keeps in a conversation of `seconds`."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*ARGUMENTS, *speaking(sound)]
        )
        page = await browser.new_page(bypass_csp=True)
        await page.add_init_script(SPY)
        await _talk(page, url)
        await page.evaluate("side => measure(side)", MOUTH)
        await asyncio.sleep(seconds)
        measured: dict[str, Any] = await page.evaluate("measured")
        await browser.close()
    return measured


async def _talk(page: Page, url: str) -> None:
    await page.goto(url)
    await page.click("#start:enabled")
    await page.wait_for_function("['live', 'failed'].includes(document.body.dataset.state)", timeout=30_000)
    if await page.evaluate("document.body.dataset.state") == "failed":
        raise SessionError(await page.inner_text("#status"))
    await page.fill("#volume", "50")  # browsers do not decode sound that nobody hears
    await asyncio.sleep(SETTLE_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of conversation (default: 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures")
    args, rest = parser.parse_known_args(argv)
    if CHROMIUM is None:
        print("avatar: no Chromium on this machine; install the package chromium", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as folder, launch(rest) as server:
            sound = write_wav(Path(folder) / "vowels.wav", np.asarray(vowels(FILE_S) / 32768, np.float32), rate=RATE)
            measured = asyncio.run(watch(server.url, sound, max(args.seconds, LEAST_S)))
    except AvatarError as error:
        print(f"avatar: {error}", file=sys.stderr)
        return 2
    found = latencies(measured)
    figures = {"mic_to_picture_ms": _figures(found.picture), "mic_to_sound_ms": _figures(found.sound)}
    skew = [picture - sound for picture, sound in zip(found.picture, found.sound, strict=True)]
    figures["skew_ms"] = _figures(skew)
    for name, values in figures.items():
        print(f"{name:20s} median {values['p50']:5.0f}   p95 {values['p95']:5.0f}   of {values['count']:.0f}")
    print(f"{'pictures_per_s':20s} {found.fps:5.1f}   (at least {FEWEST_FPS:g} expected)")
    if args.json:
        args.json.write_text(json.dumps({**figures, "pictures_per_s": round(found.fps, 2)}, indent=1) + "\n")
    return 0 if len(found.picture) >= 10 and found.fps >= FEWEST_FPS else 1


def _figures(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"p50": float("nan"), "p95": float("nan"), "count": 0}
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "count": len(seconds)}


if __name__ == "__main__":
    sys.exit(main())
