"""A cluster in simulated time: the real placement, reservations and line, with callers and workers that are made up.

A caller whose worker dies notices after a while, as the page does, and offers again at another gateway; one for whom
there is no room asks again with its ticket. Pictures of a worker come late when it has more sessions than it has the
time for, which nobody knows before.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from streamer.cluster.board import STALE_S, Board
from streamer.cluster.messages import Report, View
from streamer.cluster.placement import Policy, Search
from streamer.cluster.reservations import Reservations

REPORT_S = 0.5  # a worker's, to the board
VIEW_S = 0.5  # a gateway's, of the board
HOP_S = 0.001  # from a gateway to a worker
OPEN_S = 0.25  # from the offer to the first moving picture
NOTICE_S = (0.2, 1.2)  # until a page learns that its worker has gone: it asks once a second
RETRY_S, MOST_RETRY_S = 1.0, 4.0  # of a page whose call was lost
IN_LINE_S = 5.0  # of one that waits
LEAVE_AFTER_S = 60.0  # without having got in


@dataclass(frozen=True)
class Scenario:
    """What happens. Rates are of the whole cluster; times in seconds.

    slow: share of the workers that have the time for half of what they say. burst: share of all callers that come
    within ten seconds in the middle. deaths: workers that die in the second half, one after the other; each is back
    after 20 s.
    """

    workers: int
    callers: int
    places: int = 40
    lasts_s: float = 300.0
    talk_s: float = 240.0  # mean
    burst: float = 0.25
    deaths: int = 0
    slow: float = 0.05
    gateways: int = 4
    seed: int = 1


@dataclass
class Result:
    """What came of it."""

    policy: str
    begun: int = 0
    asked: int = 0  # reservations asked for
    denied: int = 0  # and not given, the view being old
    waited: list[float] = field(default_factory=list)  # s, of those who came in, from the first offer
    left: int = 0  # who gave up
    moved: list[float] = field(default_factory=list)  # s without a moving face, of those whose worker died
    late_s: float = 0.0  # session seconds on workers that have not the time
    talked_s: float = 0.0
    most_over: int = 0  # sessions of one worker beyond its places: given twice
    lost: int = 0  # places that were neither taken nor free at the end
    imbalance: list[float] = field(default_factory=list)  # of the workers' loads: highest less mean, sampled


class Time:
    """A clock that goes from event to event."""

    def __init__(self) -> None:
        self.time = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> float:
        """Seconds since the start."""
        return self.time

    async def sleep_until(self, moment: float) -> None:
        """Nobody sleeps here."""
        raise NotImplementedError

    def at(self, moment: float, do: Callable[[], None]) -> None:
        """Do something then."""
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, do))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.time, _, do = heapq.heappop(self._events)
            do()
        self.time = until


@dataclass
class _Caller:
    number: int
    talks_s: float
    since: float  # it offered first, or its face stood still
    losses: int = 0
    moving: bool = False  # its worker died
    worker: _Worker | None = None
    begun: float = 0.0
    token: str = ""

    @property
    def ticket(self) -> str:
        """Its own."""
        return f"ticket-of-{self.number:08}"


class _Worker:
    def __init__(self, name: str, places: int, able: int, time: Time) -> None:
        self.name, self.places, self.able = name, places, able
        self.sessions: dict[str, _Caller] = {}
        self.table = Reservations(lambda: self.places, self.sessions, time)
        self.alive = True

    def report(self) -> Report:
        """As a worker's server makes it: pictures are late where there is not the time for all."""
        load = len(self.sessions) / self.able
        slack = -1.5 + load if load <= 1 else load - 1
        return Report(
            self.name, "", self.name, True, False, self.places, self.table.free, len(self.sessions), round(slack, 2)
        )


class Simulation:
    """One scenario with one policy. `run` gives the result."""

    def __init__(self, scenario: Scenario, policy: Policy, name: str) -> None:
        self._scenario, self._policy = scenario, policy
        self.result = Result(name)
        self._random = Random(scenario.seed)
        self._time = Time()
        self._board = Board(self._time)
        self._views = [View()] * scenario.gateways
        self._workers: dict[str, _Worker] = {}
        self._names = 0
        for _ in range(scenario.workers):
            self._start_worker()

    def run(self) -> Result:
        """Let it all happen."""
        scenario, random = self._scenario, self._random
        for gateway in range(scenario.gateways):
            self._time.at(random.uniform(0.6, 1.1), partial(self._look, gateway))
        bursting = round(scenario.burst * scenario.callers)
        for number in range(scenario.callers):
            middle = scenario.lasts_s / 2
            moment = random.uniform(middle, middle + 10) if number < bursting else random.uniform(2, scenario.lasts_s)
            talks_s = random.expovariate(1 / scenario.talk_s)
            self._time.at(moment, partial(self._offer, _Caller(number, talks_s, moment)))
        for death in range(scenario.deaths):
            moment = scenario.lasts_s * (0.5 + 0.5 * death / scenario.deaths)
            self._time.at(moment, self._kill_one)
        for sample in range(int(scenario.lasts_s)):
            self._time.at(sample + 0.5, self._sample)
        self._time.run(scenario.lasts_s)
        for worker in self._workers.values():
            self.result.lost += worker.places - worker.table.free - len(worker.sessions) - worker.table.pending
        return self.result

    def _start_worker(self) -> None:
        scenario = self._scenario
        slow = self._random.random() < scenario.slow
        name = f"w{self._names}"
        self._names += 1
        able = max(1, scenario.places // 2) if slow else scenario.places
        self._workers[name] = _Worker(name, scenario.places, able, self._time)
        self._time.at(self._time.now() + self._random.uniform(0, REPORT_S), lambda: self._report(name))

    def _report(self, name: str) -> None:
        if (worker := self._workers.get(name)) is not None:
            self._board.take(worker.report())
            self._time.at(self._time.now() + REPORT_S, lambda: self._report(name))

    def _look(self, gateway: int) -> None:
        self._views[gateway] = self._board.view()
        self._time.at(self._time.now() + VIEW_S, lambda: self._look(gateway))

    def _offer(self, caller: _Caller) -> None:
        """A caller asks at any gateway, which does as `admission.Admission`."""
        gateway = self._random.randrange(len(self._views))
        view = self._views[gateway]
        if not view.waiting or self._board.has_turn(caller.ticket):
            search = Search(view, None, self._random, self._policy)
            while (chosen := search.next()) is not None:
                self.result.asked += 1
                worker = self._workers.get(chosen.worker)
                if worker is None:  # it died; the gateway notices
                    self._lose(chosen.worker)
                    continue
                if (reservation := worker.table.reserve()) is not None:
                    self._board.line.leave(caller.ticket)
                    self._time.at(self._time.now() + HOP_S, partial(self._open, caller, worker, reservation))
                    return
                self.result.denied += 1
        if not caller.moving and self._time.now() - caller.since > LEAVE_AFTER_S:
            self.result.left += 1
            return
        place = self._board.wait(caller.ticket, caller.ticket)
        self._time.at(self._time.now() + (IN_LINE_S if place != 1 else 2.0), lambda: self._offer(caller))

    def _lose(self, name: str) -> None:
        self._board.forget(name)
        for number, view in enumerate(self._views):
            self._views[number] = View(tuple(each for each in view.workers if each.worker != name), view.waiting)

    def _open(self, caller: _Caller, worker: _Worker, reservation: str) -> None:
        if not worker.alive:
            self._offer(caller)
            return
        if not worker.table.begin(reservation):
            raise AssertionError("a reservation lapsed before its offer")
        caller.token = f"{caller.number}-{self.result.begun}"
        worker.sessions[caller.token] = caller
        worker.table.seat(reservation, caller.token)
        self.result.most_over = max(self.result.most_over, len(worker.sessions) - worker.places)
        now = self._time.now() + OPEN_S
        (self.result.moved if caller.moving else self.result.waited).append(now - caller.since)
        self.result.begun += 1
        caller.worker, caller.begun, caller.moving = worker, now, False
        token = caller.token
        self._time.at(now + caller.talks_s, lambda: self._end(caller, worker, token))

    def _end(self, caller: _Caller, worker: _Worker, token: str) -> None:
        if caller.token == token and caller.worker is worker:
            worker.sessions.pop(token, None)
            caller.worker = None

    def _kill_one(self) -> None:
        name = self._random.choice(list(self._workers))
        worker = self._workers.pop(name)
        worker.alive = False
        for caller in worker.sessions.values():
            caller.worker, caller.moving, caller.since = None, True, self._time.now()
            caller.talks_s = max(1.0, caller.talks_s - (self._time.now() - caller.begun))
            wait = self._random.uniform(*NOTICE_S) + RETRY_S
            self._time.at(self._time.now() + wait, partial(self._offer, caller))
        self._time.at(self._time.now() + 20, self._start_worker)

    def _sample(self) -> None:
        loads = [len(worker.sessions) / worker.places for worker in self._workers.values()]
        if loads:
            self.result.imbalance.append(max(loads) - sum(loads) / len(loads))
        for worker in self._workers.values():
            self.result.talked_s += len(worker.sessions)
            if len(worker.sessions) > worker.able:
                self.result.late_s += len(worker.sessions)


assert REPORT_S < STALE_S
