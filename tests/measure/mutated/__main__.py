"""Thousands of mutated requests at every door of a server in a process of its own, beside a call that must not notice.

    python -m tests.measure.mutated [--count N] [--door NAME,..] [--seed N] [--open] [--photos N] [--json FILE]

The server asks for tokens unless --open; requests come with one of four, from four addresses, as fast as it takes
them. What it turns away (429, 503) is not counted. Harm is: a status 500, no answer, a traceback in the log, a server
that has ended. Sessions' ends are listed with their reasons, and how the call beside it fared. One case can be had
again by its seed, door and number.
--photos sends so many altered pictures to a server with the shipped family (a second each), after --count of them were
decoded in a child.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from random import Random

from streamer.access.grant import PHOTOS, PUSH, TALK, WATCH
from streamer.access.secret import new_secret
from streamer.access.tokens import mint
from streamer.core.errors import PhotoError
from streamer.core.files import write_json
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.photo.photo_file import load_photo
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.families import tiny_family
from tests.measure.mutated import doors
from tests.measure.mutated.attack import Attack
from tests.measure.mutated.beside import canary
from tests.measure.mutated.doors import DOORS, Door
from tests.measure.mutated.exchange import Target
from tests.measure.mutated.mutator import Mutator

SCOPES = (TALK, PUSH, WATCH, PHOTOS)
TOKENS = 4
SETTLE_S = 12.0  # for sessions whose callers have gone
CHUNK = 250
Row = dict[str, object]


async def at_doors(server: LaunchedServer, chosen: Sequence[Door], args: argparse.Namespace, secret: str) -> list[Row]:
    """Knock at one after another."""
    tokens = () if args.open else tuple(mint(secret, "tester", SCOPES, 7200) for _ in range(TOKENS))
    token, rows = (tokens[0] if tokens else None), []
    async with canary(server.url, token) as bird:
        await spoken_into(server.url, tokens, Attack(DOORS["routes"], Target(server.url), -1), CHUNK)  # made once: now
        await asyncio.sleep(SETTLE_S)
        print(json.dumps({"before": bird.told(time.monotonic() - SETTLE_S)}), flush=True)
        for door in chosen:
            begun, memory = time.monotonic(), server.usage()[1]
            attack = Attack(door, Target(server.url), args.seed)
            count = args.photos if door is doors.PHOTOS else args.count
            again = await spoken_into(server.url, tokens, attack, count)
            seconds = round(time.monotonic() - begun)
            await asyncio.sleep(SETTLE_S)
            rows.append(
                {"door": door.name, "tried": attack.count, "answers": dict(attack.tried.most_common()),
                 "seconds": seconds, "harm": attack.harm, "server_alive": server.process.poll() is None,
                 "sessions_spoken_into": again, "grown_mb": round(server.usage()[1] - memory, 1),
                 "canary": bird.told(begun)}
            )  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    return rows


async def spoken_into(url: str, tokens: tuple[str, ...], attack: Attack, count: int) -> int:
    """Attack beside a session that may be spoken into; another one where that has ended. How many there were."""
    sessions = 0
    while attack.count < count and not attack.given_up:
        sessions += 1
        async with Caller(url, vowels(60.0), token=tokens[0] if tokens else None) as caller:
            attack.target = Target(url, caller.location.removeprefix(url), caller.watch.lstrip("/"), tokens)
            trying = asyncio.create_task(attack.run(count))
            while not trying.done() and not caller.ended:
                await asyncio.wait({trying}, timeout=1.0)
            attack.pause()
            await trying
    return sessions


def decoded(seed: int, first: int, count: int) -> Counter[str]:
    """Altered pictures, decoded in this process; what came of them."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            path = Path(folder) / "photo"
            path.write_bytes(doors.mutated_picture(Mutator(Random(f"{seed} picture {number}"))))
            try:
                load_photo(path)
                found["a picture"] += 1
            except PhotoError:
                found["refused"] += 1
            except Exception as error:  # what is looked for
                found[f"{type(error).__name__} in {number}"] += 1
    return found


def decode_all(seed: int, count: int) -> Row:
    """Altered pictures by the hundred, each hundred in a child, which may end."""
    found: Counter[str] = Counter()
    for first in range(0, count, CHUNK):
        with ProcessPoolExecutor(1) as pool:
            try:
                found += pool.submit(decoded, seed, first, min(CHUNK, count - first)).result(600)
            except BrokenProcessPool:
                found[f"ended in {first} to {first + CHUNK}"] += 1
    row: Row = {"door": "decoder of photos", "tried": count, "answers": dict(found.most_common())}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="cases at each door (default: 10,000)")
    parser.add_argument("--door", default=",".join(DOORS), help=f"default: all, {', '.join(DOORS)}")
    parser.add_argument("--photos", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--open", action="store_true", help="a server that asks for no token")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    offer_only(LOOPBACK)
    rows, secret = [], new_secret()
    way = ["--host", "0.0.0.0", *(["--open"] if args.open else ["--token", secret])]  # beyond this machine's user
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        if args.door:
            family = tiny_family.build(Path(folder) / "tiny")
            with launch([*way, "--sessions", "16", "--threads", "1", "--engines", str(family)], log) as server:
                rows += asyncio.run(at_doors(server, [DOORS[name] for name in args.door.split(",")], args, secret))
            rows.append(complaints(log))
        if args.photos:
            rows.append(decode_all(args.seed, args.count))
            with launch([*way, "--threads", "1"], log) as server:
                rows += asyncio.run(at_doors(server, [doors.PHOTOS], args, secret))
            rows.append(complaints(log))
    if args.json is not None:
        write_json(args.json, rows)


def complaints(log: Path) -> Row:
    """What a server's log says that none should."""
    lines = log.read_text(encoding="utf-8").splitlines()
    words = ("Traceback", "Error", "never awaited", "WARNING")
    ends = Counter(found[1] for line in lines if (found := re.search(r"session \d+ ends: (.*?)(?:, after|$)", line)))
    complained = [line for line in lines if any(word in line for word in words)]
    row: Row = {"lines": len(lines), "complaints": complained[:40], "ends": dict(ends.most_common(20))}
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
