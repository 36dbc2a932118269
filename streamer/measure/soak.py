"""Run a server under load for minutes or hours, and check that memory and latency neither grow nor drift.

    python -m streamer.measure.soak [--minutes N] [--sessions N] [--json FILE] [options of avatar serve]

One steady caller talks during the whole run. In every round, of some seconds, visitors connect, talk and hang up;
others vanish without closing, or send an invalid offer. Prints one line per round and a verdict at the end; the exit
code is 1 when the verdict is bad.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import numpy as np

from streamer.core.console import say
from streamer.core.errors import AvatarError, SessionError
from streamer.core.files import check_output, write_json
from streamer.measure.bench import FREEZE_S, counts
from streamer.measure.caller import Caller, Recording
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import SEARCH_S, beginnings, heard_after, seen_after, vowels
from streamer.webrtc.ice import LOOPBACK, offer_only

ROUND_S = 30.0
LEAST_ROUNDS = 4  # the first is the warm-up, the last runs after all callers have left
VISIT_S = 12.0
GROWTH_MB = 24.0  # normal variation of a server's memory between rounds: pools, encoders, fragmentation
GROWTH_FILES = 4
DRIFT_MS = 40.0  # the duration of one picture
ENDED_S = 40.0  # a vanished caller is detected by ICE consent, after 30 s


@dataclass(frozen=True)
class Round:
    """Figures of one round. `open_files` includes sockets; latencies are medians, None if nothing was measured."""

    minutes: float
    fps: float
    freezes: int
    mic_to_picture_ms: float | None
    mic_to_sound_ms: float | None
    rss_mb: float
    open_files: int
    sessions_open: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m streamer.measure.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--sessions", type=int, default=2, help="at most at once, the steady one included (default: 2)")
    parser.add_argument("--json", type=Path, help="also write the rounds to this file")
    options, rest = parser.parse_known_args(argv)
    try:
        return soak(options.minutes, options.sessions, options.json, rest)
    except AvatarError as error:
        say(f"soak: {error}", sys.stderr)
        return 2
    except aiohttp.ClientError as error:
        say(f"soak: the server does not answer any more ({error})", sys.stderr)
        return 1


def soak(minutes: float, sessions: int, out: Path | None, arguments: Sequence[str]) -> int:
    """Run the whole test; return 0 when nothing grew or drifted, else 1.

    Raises:
        AvatarError: the server does not start, or the file cannot be written.
    """
    if out is not None:
        check_output(out)
    offer_only(LOOPBACK)
    rounds = max(LEAST_ROUNDS, round(60 * minutes / ROUND_S))
    with launch(["--sessions", str(sessions + 1), *arguments]) as server:  # one more for a vanished caller
        found = asyncio.run(_rounds(server, rounds, sessions))
    if out is not None:
        write_json(out, [asdict(item) for item in found])
    complaints = judge(found)
    say("\n".join(complaints) if complaints else f"soak: steady over {len(found)} rounds")
    return 1 if complaints else 0


async def _rounds(server: LaunchedServer, rounds: int, sessions: int) -> list[Round]:
    found = []
    seconds = rounds * ROUND_S
    async with Caller(server.url, vowels(seconds + ROUND_S)) as steady:
        for number in range(rounds - 1):
            end = steady.recording.start + (number + 1) * ROUND_S if number else None
            await asyncio.gather(*(_visit(server, VISIT_S, number + seat) for seat in range(sessions - 1)))
            await _rude_offer(server)
            await asyncio.sleep(max(0.0, (end - asyncio.get_running_loop().time()) if end else ROUND_S - VISIT_S))
            found.append(await _look(server, steady.recording, number, seconds))
            say(_row(found[-1]))
    await asyncio.sleep(ENDED_S)
    found.append(await _look(server, Recording(), rounds - 1, 0.0))
    say(_row(found[-1]))
    return found


async def _visit(server: LaunchedServer, seconds: float, number: int) -> None:
    """Connect, talk, and hang up; every third visitor vanishes without closing."""
    caller = Caller(server.url, vowels(seconds))
    try:
        await caller.__aenter__()
    except (SessionError, aiohttp.ClientError) as error:
        say(f"soak: a visitor was refused ({error})")
        return
    await asyncio.sleep(seconds)
    if number % 3 == 2:
        await caller.vanish()
    else:
        await caller.__aexit__(None, None, None)


async def _rude_offer(server: LaunchedServer) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        with suppress(aiohttp.ClientError):
            headers = {"Content-Type": "application/sdp"}
            await (await http.post(urljoin(server.url, "session"), data="v=0\r\n", headers=headers)).release()


async def _look(server: LaunchedServer, recording: Recording, number: int, seconds: float) -> Round:
    """Return the figures of the last round, as seen by the steady caller, and clear its recording."""
    moments = [moment for moment in beginnings(recording.start, seconds) if _inside(moment, recording)]
    seen = [value for moment in moments if (value := seen_after(moment, recording.pictures)) is not None]
    heard = [value for moment in moments if (value := heard_after(moment, recording.sound)) is not None]
    span = recording.pictures[-1].moment - recording.pictures[0].moment if len(recording.pictures) > 1 else np.inf
    changes = _changes(recording)
    result = Round(
        minutes=round((number + 1) * ROUND_S / 60, 2),
        fps=round(len(changes) / span, 1),
        freezes=int(np.count_nonzero(np.diff(changes) > FREEZE_S)),
        mic_to_picture_ms=_middle_ms(seen),
        mic_to_sound_ms=_middle_ms(heard),
        rss_mb=round(server.usage()[1], 1),
        open_files=server.open_files(),
        sessions_open=int((await counts(server))["sessions_open"]),
    )
    recording.pictures.clear()
    recording.sound.clear()
    return result


def _middle_ms(seconds: list[float]) -> float | None:
    return round(1000 * float(np.median(seconds)), 1) if seconds else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _inside(moment: float, recording: Recording) -> bool:
    pictures = recording.pictures
    return bool(pictures) and pictures[0].moment < moment and moment + SEARCH_S < pictures[-1].moment


def _changes(recording: Recording) -> list[float]:
    """Return the times at which the mouth region changed."""
    pairs = itertools.pairwise(recording.pictures)
    return [picture.moment for last, picture in pairs if not np.array_equal(last.mouth, picture.mouth)]


def judge(rounds: Sequence[Round]) -> list[str]:
    """Return one line for each figure that grew or drifted. Round 1 is the warm-up; in the last, all have left."""
    talking, last = rounds[1:-1], rounds[-1]
    half = len(talking) // 2
    early, late = talking[: max(1, half)], talking[half:]
    complaints = []
    grown = float(np.median([item.rss_mb for item in late]) - np.median([item.rss_mb for item in early]))
    if grown > GROWTH_MB:
        complaints.append(f"soak: memory grew by {grown:.0f} MB between the first and the second half")
    if (files := max(item.open_files for item in late) - max(item.open_files for item in early)) > GROWTH_FILES:
        complaints.append(f"soak: {files} more files are open in the second half than in the first")
    for name in ("mic_to_picture_ms", "mic_to_sound_ms"):
        before, after = (
            [value for item in part if (value := getattr(item, name)) is not None] for part in (early, late)
        )
        if not before or not after:
            complaints.append(f"soak: {name} could not be seen")
        elif abs(drift := float(np.median(after) - np.median(before))) > DRIFT_MS:
            complaints.append(f"soak: {name} drifted by {drift:.0f} ms")
    if last.sessions_open:
        complaints.append(f"soak: {last.sessions_open} sessions are open though everybody has left")
    return complaints


def _row(item: Round) -> str:
    return (
        f"{item.minutes:6.1f} min  {item.fps:5.1f} new frames/s, {item.freezes} freezes, "
        f"to picture {item.mic_to_picture_ms or 0:.0f} ms, to sound {item.mic_to_sound_ms or 0:.0f} ms, "
        f"{item.rss_mb:.0f} MB, {item.open_files} open files, {item.sessions_open} sessions"
    )


if __name__ == "__main__":
    sys.exit(main())
