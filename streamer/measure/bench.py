"""Measure live conversations with a local server from outside: quality, latency and cost.

Callers without a browser (`caller`) speak vowels with pauses. Latency is measured from the onset of a vowel at the
microphone to its onset in the sound that comes back, and to the first picture in which the mouth moves; skew is picture
minus sound, so positive means late lips. A browser's playout buffers (some tens of ms) are not included.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import aiohttp
import numpy as np

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.avatar.catalogue import find_avatar
from streamer.avatar.frame_size import check as check_size
from streamer.core.console import say
from streamer.core.errors import ConfigError
from streamer.core.files import check_output, write_json
from streamer.core.options import DEFAULT_THREADS
from streamer.core.rungs import FULL, RUNGS
from streamer.measure.bench_report import described, machine_of, row, table
from streamer.measure.caller import Caller, Recording
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import LEAD_S, PERIOD_S, SEARCH_S, beginnings, heard_after, seen_after, vowels
from streamer.server import metrics
from streamer.stages.lookahead import live_lookahead_ms
from streamer.webrtc.ice import LOOPBACK, offer_only


@dataclass(frozen=True)
class BenchOptions:
    """Options of `avatar bench`: it runs `seconds_each` seconds for each size, number of sessions and loss.

    sessions: None counts up from one until the server leaves something out (see `core.rungs`), at most MOST_SESSIONS.
    sizes: picture sizes; None is a session's default. loss: percent of the microphone's packets to drop.
    """

    sessions: tuple[int, ...] | None = (1,)
    sizes: tuple[int | None, ...] = (None,)
    loss: tuple[float, ...] = (0.0,)
    seconds_each: float = 20.0
    json: Path | None = None
    family: Path | None = None
    avatar: str | None = None
    lookahead_ms: int | None = None
    threads: int = DEFAULT_THREADS


FREEZE_S = 0.2  # without a new picture: a freeze
SETTLE_S = 1.0  # after connecting, not counted
MOST_SESSIONS = 8
RECOVER_S = 60.0  # longest wait between runs for the server to return to the full rung

Counts = dict[str, float]


def bench(options: BenchOptions) -> None:
    """Measure, print a table, and write JSON if asked.

    Raises:
        ConfigError: the time is too short to measure anything.
        AvatarError: the avatar does not exist, the JSON cannot be written, or the server does not start.
    """
    least = LEAD_S + PERIOD_S + SEARCH_S
    if options.seconds_each < least:
        raise ConfigError(f"{options.seconds_each:g} seconds are too few to measure in; at least {least:g}")
    if options.json is not None:
        check_output(options.json)
    if options.avatar is not None:
        find_avatar(Manifest.load(options.family or SHIPPED_FAMILY), options.avatar)
    offer_only(LOOPBACK)
    manifest = Manifest.load(options.family or SHIPPED_FAMILY)
    for size in options.sizes:
        check_size(manifest, size)
    machine = machine_of(manifest, options.threads)
    for line in described(machine):
        say(f"avatar: {line}")
    most = MOST_SESSIONS if options.sessions is None else max(options.sessions)
    arguments = ["--sessions", str(most), "--threads", str(options.threads)]
    if options.family is not None:
        arguments += ["--engines", str(options.family)]
    runs = []
    with launch(arguments) as server:
        for size, loss in itertools.product(options.sizes, options.loss):
            for sessions in options.sessions or range(1, MOST_SESSIONS + 1):
                asyncio.run(_recovered(server))
                say(_title(sessions, size, loss, options.seconds_each))
                runs.append(asyncio.run(_run(server, options, sessions, size, loss)))
                say(row(runs[-1]))
                if options.sessions is None and runs[-1]["left_out"]:
                    break
    for line in table(runs):
        say(line)
    if options.json is not None:
        write_json(options.json, {"machine": machine, "runs": runs})


def _title(sessions: int, size: int | None, loss: float, seconds: float) -> str:
    lossy = f", {loss:g} % of the microphone's packets lost," if loss else ""
    pixels = "" if size is None else f" at {size} pixels"
    return f"avatar: {sessions} at once{pixels}{lossy} for {seconds:g} s ..."


async def _recovered(server: LaunchedServer) -> None:
    """Wait until the server leaves nothing out, for at most RECOVER_S."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RECOVER_S):
            while (await counts(server))["ladder_rung"] > 0:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(1.0)


async def _run(
    server: LaunchedServer, options: BenchOptions, sessions: int, size: int | None, loss: float
) -> dict[str, Any]:
    query = f"avatar={quote(options.avatar)}" if options.avatar else ""
    if options.lookahead_ms is not None:
        query += f"&lookahead={options.lookahead_ms}"
    if size is not None:
        query += f"&size={size}"
    sound = vowels(options.seconds_each)
    async with AsyncExitStack() as stack:
        callers = [Caller(server.url, sound, query, loss=loss / 100) for _ in range(sessions)]
        for caller in callers:
            await stack.enter_async_context(caller)
        await asyncio.sleep(SETTLE_S)
        before, (cpu, _), made = await counts(server), server.usage(), await _pictures(callers)
        await asyncio.sleep(options.seconds_each - SETTLE_S)
        after, (cpu_end, rss), made_end = await counts(server), server.usage(), await _pictures(callers)
        recordings = [caller.recording for caller in callers]
    seconds = options.seconds_each - SETTLE_S
    counted = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {
        "sessions": sessions,
        "size": recordings[0].pictures[-1].size[0] if recordings[0].pictures else size,
        "lookahead_ms": _lookahead_ms(options),
        "loss": loss,
        "packets_lost": round(counted["microphone_packets_lost_total"]),
        "silence_ms": round(1000 * counted["microphone_silence_seconds_total"] / sessions),
        "fps": round(min(end - start for start, end in zip(made, made_end, strict=True)) / seconds, 2),
        "left_out": left_out(after, counted),
        "received_fps": round(sum(_received(recording, seconds) for recording in recordings) / sessions, 2),
        "freezes": sum(_freezes(recording) for recording in recordings),
        **_latencies(recordings, options.seconds_each),
        "cpu_percent": round(100 * (cpu_end - cpu) / seconds, 1),
        "cpu_s_per_s_of_talk": round((cpu_end - cpu) / seconds / sessions, 3),
        "rss_mb": round(rss, 1),
        "stages_ms": _stages(counted),
    }


def _latencies(recordings: Sequence[Recording], seconds: float) -> dict[str, dict[str, float | int]]:
    picture, sound, skew = [], [], []
    for recording in recordings:
        for moment in beginnings(recording.start, seconds):
            seen, heard = seen_after(moment, recording.pictures), heard_after(moment, recording.sound)
            picture += [seen] if seen is not None else []
            sound += [heard] if heard is not None else []
            skew += [seen - heard] if seen is not None and heard is not None else []
    return {
        "mic_to_picture_ms": percentiles(picture),
        "mic_to_sound_ms": percentiles(sound),
        "skew_ms": percentiles(skew),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float | int]:
    """Return p50, p95 and p99 in ms, and the count; only the count if there are no values."""
    if not seconds:
        return {"count": 0}
    values = 1000 * np.percentile(seconds, [50, 95, 99])
    return {name: round(float(value), 1) for name, value in zip(("p50", "p95", "p99"), values, strict=True)} | {
        "count": len(seconds)
    }


def _received(recording: Recording, seconds: float) -> float:
    start = recording.start + SETTLE_S
    return sum(start <= picture.moment < start + seconds for picture in recording.pictures) / seconds


def _freezes(recording: Recording) -> int:
    """Count the times the mouth region did not change for FREEZE_S; a live face never holds that still."""
    changed = [recording.start + SETTLE_S]
    for last, picture in zip(recording.pictures, recording.pictures[1:], strict=False):
        if picture.moment > changed[0] and not np.array_equal(last.mouth, picture.mouth):
            changed.append(picture.moment)
    return int(np.count_nonzero(np.diff(changed) > FREEZE_S))


def _stages(counted: Counts) -> dict[str, float]:
    """Return the mean milliseconds per run of each stage."""
    names = [name.split('"')[1] for name in counted if name.startswith("stage_runs_total")]
    return {
        name: round(1000 * counted[f'stage_seconds_total{{stage="{name}"}}'] / runs, 2)
        for name in names
        if (runs := counted[f'stage_runs_total{{stage="{name}"}}']) > 0
    }


async def counts(server: LaunchedServer) -> Counts:
    """Fetch the server's current metrics, by name."""
    async with aiohttp.ClientSession() as http, http.get(urljoin(server.url, "metrics")) as response:
        return metrics.parse(await response.text())


async def _pictures(callers: Sequence[Caller]) -> list[int]:
    """Fetch the number of new pictures of each session since it began."""
    async with aiohttp.ClientSession() as http:
        found = []
        for caller in callers:
            async with http.get(caller.location) as response:
                found.append(int((await response.json())["pictures"]))
        return found


def left_out(after: Counts, counted: Counts) -> str:
    """Return the name of the lowest rung that the server was on; empty if nothing was left out."""
    stepped = [rung.name for rung in RUNGS if counted.get(f'ladder_steps_total{{rung="{rung.name}"}}', 0) > 0]
    now = RUNGS[int(after["ladder_rung"])]
    return stepped[-1] if stepped else "" if now == FULL else now.name


def _lookahead_ms(options: BenchOptions) -> int:
    manifest = Manifest.load(options.family or SHIPPED_FAMILY)
    return live_lookahead_ms(manifest, options.lookahead_ms)
