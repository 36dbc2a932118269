"""Places of a worker: none given twice, none lost, whatever gateways and callers do."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from streamer.cluster.reservations import LEASE_S, Reservations
from tests.fakes.clock import FakeClock

PLACES = 3


class Places(RuleBasedStateMachine):
    """Gateways reserve, offer, give up and die; sessions begin and end; the machine gets faster and slower."""

    promised = Bundle("promised")
    opening = Bundle("opening")
    seated = Bundle("seated")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.sessions: set[str] = set()
        self.most = PLACES
        self.table = Reservations(lambda: self.most, self.sessions, self.clock)
        self.live: dict[str, float] = {}  # promises, by the model
        self.under_way: set[str] = set()
        self.begun = 0

    def used(self) -> int:
        lasting = sum(until > self.clock.time for until in self.live.values())
        return lasting + len(self.under_way) + len(self.sessions)

    @rule(target=promised)
    def reserve(self) -> str:
        had_room = self.used() < self.most
        name = self.table.reserve()
        assert (name is not None) == had_room
        if name is None:
            return "none"
        self.live[name] = self.clock.time + LEASE_S
        return name

    @rule(target=opening, name=consumes(promised))
    def offer(self, name: str) -> str:
        lasting = self.live.pop(name, 0.0) > self.clock.time
        assert self.table.begin(name) == lasting
        assert not self.table.begin(name)  # nobody else gets the same place
        if lasting:
            self.under_way.add(name)
        return name

    @rule(target=seated, name=consumes(opening), counted_before=st.booleans())
    def open(self, name: str, counted_before: bool) -> str:
        if name not in self.under_way:
            return "none"
        self.begun += 1
        token = f"token {self.begun}"
        self.sessions.add(token)
        if counted_before:  # the session is there a moment before its answer is
            assert self.table.free == max(0, self.most - self.used() + 1)
        self.table.seat(name, token)
        self.table.release(name)
        self.under_way.discard(name)
        return token

    @rule(name=consumes(opening))
    def refuse(self, name: str) -> None:
        self.table.release(name)
        self.under_way.discard(name)

    @rule(token=consumes(seated))
    def end(self, token: str) -> None:
        self.sessions.discard(token)

    @rule(seconds=st.sampled_from([0.5, LEASE_S]))
    def wait(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule(most=st.integers(1, PLACES))
    def slow_down(self, most: int) -> None:
        self.most = most

    @invariant()
    def none_twice_and_none_lost(self) -> None:
        assert self.table.free == max(0, self.most - self.used())


Places.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestPlaces = Places.TestCase


def test_a_session_that_takes_the_place_of_another_needs_no_free_one() -> None:
    table = Reservations(lambda: 1, set(), FakeClock())
    assert table.reserve() is not None
    assert table.reserve() is None
    assert table.reserve(beyond=True) is not None


def test_sessions_that_began_without_a_reservation_count() -> None:
    assert Reservations(lambda: 3, {"one", "two"}, FakeClock()).free == 1
