"""How long a person waits in a real browser: from the microphone to the picture, and to the sound.

    python -m tests.measure.browser_latency [--browser chromium] [--browser firefox] [--seconds S] [--json FILE]
                                            [options of avatar serve]

Starts a server, opens its page in one headless browser after the other, speaks vowels through a fake microphone and
compares when they begin: in the microphone's track, in the track that comes back as the browser plays it, and in the
mouth of the pictures as the browser paints them. All three by one clock; the sound card's own delay and the screen's
are not in it. Firefox has no fake microphone that speaks: there the page's script is given a track with the same sound;
and it runs no clock for sound without a sound system (PulseAudio with a null sink will do).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import async_playwright

from streamer.audio.format import RATE
from streamer.core.errors import AvatarError, SessionError
from streamer.measure.caller import Seen
from streamer.measure.launched_server import launch
from streamer.measure.onsets import LOUD, PERIOD_S, SEARCH_S, VOICED_S, seen_after, vowels
from tests.e2e.browser import ARGUMENTS, CHROMIUM, speaking
from tests.e2e.firefox import FIREFOX, firefox
from tests.fakes.sound import write_wav

FEWEST_FPS = 24.0  # pictures a second that the browser painted, of 25 sent
LEAST_S = 20.0  # ten beginnings and what it takes to connect
SETTLE_S = 3.0
PATIENCE_S = 60.0  # for the page to be ready, and live
MOUTH = 24  # side of the mouth's picture, in pixels
FILE_S = 40 * PERIOD_S  # of the microphone's file; a whole number of vowels, as it is repeated
SPY = (Path(__file__).parent / "browser_spy.js").read_text(encoding="utf-8")
ENOUGH = 10  # beginnings that were found

Peaks = NDArray[np.float64]  # one value for each block of the audio clock
Evaluate = Callable[[str], Awaitable[Any]]  # an expression in the page, awaited there


@dataclass(frozen=True)
class Latencies:
    """Seconds of each beginning at which both were found, and pictures painted per second."""

    picture: list[float]
    sound: list[float]
    fps: float = float("nan")


def latencies(measured: dict[str, Any]) -> Latencies:
    """From what the page kept. Raises SessionError where its sound did not run."""
    if not measured["blocks"]:
        raise SessionError("the browser played no sound: it needs a sound system, such as PulseAudio with a null sink")
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


@asynccontextmanager
async def chromium_page(url: str, sound: Path) -> AsyncIterator[Evaluate]:
    """The page in Chromium, whose microphone hears the file."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*ARGUMENTS, *speaking(sound)]
        )
        page = await browser.new_page()
        await page.add_init_script(SPY)
        await page.goto(url)
        yield page.evaluate
        await browser.close()


@asynccontextmanager
async def firefox_page(url: str, sound: Path) -> AsyncIterator[Evaluate]:
    """The page in Firefox, given the file in place of a microphone."""
    async with firefox(**{"media.autoplay.block-webaudio": False}) as tab:
        await tab.command("script.addPreloadScript", functionDeclaration=f"() => {{ {SPY} }}")
        await tab.goto(url)
        await tab.evaluate(f"hear({json.dumps(base64.b64encode(await asyncio.to_thread(sound.read_bytes)).decode())})")
        yield tab.evaluate


BROWSERS = {"chromium": (CHROMIUM, chromium_page), "firefox": (FIREFOX, firefox_page)}


async def watch(name: str, url: str, sound: Path, seconds: float) -> dict[str, Any]:
    """What the page keeps in a conversation of `seconds`. Raises SessionError, TimeoutError."""
    async with BROWSERS[name][1](url, sound) as evaluate:
        await _until(evaluate, "!document.getElementById('start').disabled")
        await evaluate("document.getElementById('start').click()")
        await _until(evaluate, "['live', 'failed'].includes(document.body.dataset.state)")
        if await evaluate("document.body.dataset.state") == "failed":
            raise SessionError(await evaluate("document.getElementById('status').innerText"))
        # Browsers do not decode sound that nobody hears.
        await evaluate("void (document.getElementById('avatar').video.volume = 0.5)")
        await asyncio.sleep(SETTLE_S)
        await evaluate(f"measure({MOUTH})")
        await asyncio.sleep(seconds)
        measured: dict[str, Any] = await evaluate("finished()")
    return measured


async def _until(evaluate: Evaluate, expression: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await evaluate(expression):  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.1)


def report(measured: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Print the figures, and return them, and whether the conversation was as it should be."""
    found = latencies(measured)
    skew = [picture - sound for picture, sound in zip(found.picture, found.sound, strict=True)]
    latency = {"mic_to_picture_ms": found.picture, "mic_to_sound_ms": found.sound, "skew_ms": skew}
    figures: dict[str, Any] = {name: _figures(values) for name, values in latency.items()}
    for name, values in figures.items():
        print(f"{name:20s} median {values['p50']:5.0f}   p95 {values['p95']:5.0f}   of {values['count']:.0f}")
    begin, end = measured["begin"], measured["end"]
    packets = (end["packets"] - begin["packets"]) / (end["moment"] - begin["moment"])
    concealed = (end["concealed"] - begin["concealed"]) / max(1, end["samples"] - begin["samples"])
    print(f"{'pictures_per_s':20s} {found.fps:5.1f}   (at least {FEWEST_FPS:g} expected)")
    print(f"{'sound':20s} {packets:5.1f} packets a second, {100 * concealed:.1f} % of it made up")
    figures |= {"pictures_per_s": found.fps, "packets_per_s": packets, "concealed": concealed}
    return figures, len(found.picture) >= ENOUGH and found.fps >= FEWEST_FPS


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--browser", action="append", choices=list(BROWSERS), help="one, or more (default: chromium)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of conversation (default: 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures")
    args, rest = parser.parse_known_args(argv)
    names: list[str] = args.browser or ["chromium"]
    for name in names:
        if BROWSERS[name][0] is None:
            print(f"avatar: no {name} on this machine; install the package {name}", file=sys.stderr)
            return 2
    figures, good = {}, True
    try:
        with tempfile.TemporaryDirectory() as folder, launch(rest) as server:
            sound = write_wav(Path(folder) / "vowels.wav", np.asarray(vowels(FILE_S) / 32768, np.float32), rate=RATE)
            for name in names:
                print(name)
                measured = asyncio.run(watch(name, server.url, sound, max(args.seconds, LEAST_S)))
                figures[name], as_expected = report(measured)
                good &= as_expected
    except (AvatarError, TimeoutError) as error:
        print(f"avatar: {str(error) or 'the page was not ready in time'}", file=sys.stderr)
        return 2
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if good else 1


def _figures(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"p50": float("nan"), "p95": float("nan"), "count": 0}
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "count": len(seconds)}


if __name__ == "__main__":
    sys.exit(main())
