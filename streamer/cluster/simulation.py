"""A cluster in simulated time: the real placement, reservations and waiting line, with simulated callers and workers.

A caller whose worker dies notices after a delay, as the page does, and calls again through another gateway; a caller
that finds no free place retries with its ticket. Pictures of a worker are late when it has more sessions than it can
really serve; this capacity is unknown until then.
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

REPORT_S = 0.5  # interval of a worker's reports to the board
VIEW_S = 0.5  # interval at which a gateway refreshes its view
HOP_S = 0.001  # from a gateway to a worker
OPEN_S = 0.25  # from the offer to the first moving picture
NOTICE_S = (0.2, 1.2)  # until a page notices that its worker has died: it polls once a second
RETRY_S, MOST_RETRY_S = 1.0, 4.0  # retry delay of a page that lost its session
IN_LINE_S = 5.0  # retry interval of a waiting caller
LEAVE_AFTER_S = 60.0  # after which a caller without a session gives up


@dataclass(frozen=True)
class Scenario:
    """Parameters of a simulation. Counts are for the whole cluster; times are in seconds.

    slow: share of the workers that can serve only half of the places they report. burst: share of the callers that
    arrive within ten seconds in the middle. deaths: number of workers that die in the second half, one after the
    other; each is replaced after 20 s.
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
    """Results of a simulation."""

    policy: str
    begun: int = 0
    asked: int = 0  # reservations requested
    denied: int = 0  # reservations refused because the view was stale
    waited: list[float] = field(default_factory=list)  # s from the first offer to the session, per admitted caller
    left: int = 0  # callers that gave up
    moved: list[float] = field(default_factory=list)  # s without a moving face, per caller whose worker died
    late_s: float = 0.0  # session seconds on overloaded workers
    talked_s: float = 0.0
    most_over: int = 0  # most sessions of one worker beyond its places: places given out twice
    lost: int = 0  # places that were neither taken nor free at the end
    imbalance: list[float] = field(default_factory=list)  # highest minus mean load of the workers, sampled


class Time:
    """Simulated clock that jumps from event to event."""

    def __init__(self) -> None:
        self.time = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def now(self) -> float:
        """Return the seconds since the start."""
        return self.time

    async def sleep_until(self, moment: float) -> None:
        """Raise NotImplementedError: the simulation never sleeps."""
        raise NotImplementedError

    def at(self, moment: float, do: Callable[[], None]) -> None:
        """Schedule a callback."""
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, do))

    def run(self, until: float) -> None:
        """Run all events up to this time."""
        while self._events and self._events[0][0] <= until:
            self.time, _, do = heapq.heappop(self._events)
            do()
        self.time = until


@dataclass
class _Caller:
    number: int
    talks_s: float
    since: float  # time of its first offer, or of its worker's death
    losses: int = 0
    moving: bool = False  # its worker died, and it needs another one
    worker: _Worker | None = None
    begun: float = 0.0
    token: str = ""

    @property
    def ticket(self) -> str:
        """The caller's ticket for the waiting line."""
        return f"ticket-of-{self.number:08}"


class _Worker:
    def __init__(self, name: str, places: int, able: int, time: Time) -> None:
        self.name, self.places, self.able = name, places, able
        self.sessions: dict[str, _Caller] = {}
        self.table = Reservations(lambda: self.places, self.sessions, time)
        self.alive = True

    def report(self) -> Report:
        """Return a report like a real worker's: slack is above 0 when there are more sessions than it can serve."""
        load = len(self.sessions) / self.able
        slack = -1.5 + load if load <= 1 else load - 1
        return Report(
            self.name, "", self.name, True, False, self.places, self.table.free, len(self.sessions), round(slack, 2)
        )


class Simulation:
    """One scenario with one policy. `run` returns the result."""

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
        """Run the scenario to its end and return the result."""
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
        """Send a caller's offer to a random gateway, which decides as `admission.Admission` does."""
        gateway = self._random.randrange(len(self._views))
        view = self._views[gateway]
        if not view.waiting or self._board.has_turn(caller.ticket):
            search = Search(view, None, self._random, self._policy)
            while (chosen := search.next()) is not None:
                self.result.asked += 1
                worker = self._workers.get(chosen.worker)
                if worker is None:  # it died: the gateway drops it from the view
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
