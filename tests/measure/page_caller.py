"""A caller that does what the page does (`clients/web/call.js`): it notices that its session is lost, calls again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlsplit

import aiohttp

from streamer.core.errors import SessionError
from streamer.measure.caller import Caller, Heard, Seen
from streamer.measure.onsets import vowels
from tests.measure.rtp_log import RtpLog

LOOK_S = 0.25  # between two looks at what has come
QUIET_LOOKS = 2  # without a packet: the session's address is asked, at once
LOST_LOOKS = 6  # and that address does not answer
SILENT_LOOKS = 12  # whatever it answers
ASK_LOOKS = 4  # between two questions, while something comes
ASK_S = 1.0
AGAIN_S, RETRY_S = 0.1, 1.0  # before the first call: where the session is known to be gone, and where it is not
MOVING = 3  # pictures
SOUND_S = 20.0  # then it listens


class Found(Enum):
    """What a session's address says."""

    THERE = auto()
    GONE = auto()
    NOTHING = auto()


@dataclass
class Loss:
    """Of one session: moments of its last picture, of giving it up, of being let in again, and of moving again."""

    last: float
    noticed: float
    why: str
    begun: float = 0.0
    moving: float = 0.0

    @property
    def still_s(self) -> float:
        """Without a moving face."""
        return self.moving - self.last

    def told(self) -> str:
        """In parts."""
        return (
            f"{self.why}, noticed after {self.noticed - self.last:.2f}, called {self.begun - self.noticed:.2f}, "
            f"shown {self.moving - self.begun:.2f} s later"
        )


class PageCaller:
    """Talks through the first gateway that answers. `worker`: where it is while a face moves, else empty."""

    def __init__(self, gateways: Sequence[str], query: str = "", speaks: bool = True) -> None:
        """`speaks`: into a microphone; else a program does, for which the query asks."""
        self.worker = ""
        self.losses: list[Loss] = []
        self.pictures: list[Seen] = []  # of the call there is ...
        self.packets = RtpLog()  # ... likewise
        self.sound: list[Heard] = []  # of all calls
        self.asked = self.unanswered = 0  # how often the session's address was asked
        self._again = False
        self._gateways = list(gateways)
        self._query = query
        self._sound = vowels(SOUND_S) if speaks else None  # made once: a call that is begun waits for nothing

    def call_again(self) -> None:
        """Hang up, and call again at once."""
        self._again = True

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            wait = RETRY_S
            with contextlib.suppress(SessionError):
                async with Caller(self._gateways[0], self._sound, self._query) as caller:
                    if self.losses:
                        self.losses[-1].begun = time.monotonic()
                    found = await self._talk(caller)
                    wait = AGAIN_S if found is Found.GONE else RETRY_S
                    self.worker = ""
                    last = self.pictures[-1].moment if self.pictures else 0.0
                    self.losses.append(Loss(last, time.monotonic(), "ended" if caller.ended else found.name.lower()))
            await asyncio.sleep(wait)

    async def _talk(self, caller: Caller) -> Found:
        """Until the session is lost; what its address said last."""
        self.pictures = caller.recording.pictures
        self.packets = RtpLog()
        caller.watch_packets(self.packets.take)
        taken = 0
        count, quiet, looks, asked = 0, 0, 0, 0
        path = urlsplit(caller.location).path
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_S)) as http:
            self._again = False
            while not (caller.ended or self._again):
                await asyncio.sleep(LOOK_S)
                looks += 1
                self.sound += caller.recording.sound[taken:]
                taken = len(caller.recording.sound)
                if not self.worker and len(self.pictures) >= MOVING:
                    self.worker = path.rpartition("/")[2].partition(".")[0]
                    if self.losses:
                        self.losses[-1].moving = self.pictures[MOVING - 1].moment
                now = len(caller.recording.sound) + len(self.pictures)
                quiet, count = (quiet + 1 if now == count else 0), now
                if self.worker and looks - asked >= (QUIET_LOOKS if quiet >= QUIET_LOOKS else ASK_LOOKS):
                    asked = looks
                    found = await self._ask(http, path)
                    silent = LOST_LOOKS if found is Found.NOTHING else SILENT_LOOKS
                    if found is Found.GONE or quiet >= silent:
                        return found
        return Found.GONE

    async def _ask(self, http: aiohttp.ClientSession, path: str) -> Found:
        self.asked += 1
        for _ in self._gateways:
            try:
                async with http.get(self._gateways[0] + path.lstrip("/")) as response:
                    if response.status == 404:
                        return Found.GONE
                    if response.status == 200:
                        return Found.THERE
                    break
            except TimeoutError:
                break
            except aiohttp.ClientError:
                self._gateways.append(self._gateways.pop(0))  # as a load balancer leaves out what does not answer
        self.unanswered += 1
        return Found.NOTHING
