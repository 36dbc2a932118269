"""The simulated cluster, which runs the gateways' own decisions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.cluster.placement import Policy, any_of_them, least_burdened, two_choices
from streamer.cluster.simulate import main
from streamer.cluster.simulation import Result, Scenario, Simulation


def simulated(scenario: Scenario, policy: Policy = two_choices) -> Result:
    return Simulation(scenario, policy, "").run()


@pytest.mark.parametrize("policy", [two_choices, least_burdened, any_of_them])
def test_whatever_dies_and_however_many_come_no_place_is_given_twice_or_lost(policy: Policy) -> None:
    crowd = Scenario(workers=12, callers=800, places=8, lasts_s=80, talk_s=20, burst=0.5, deaths=6, gateways=3)
    result = simulated(crowd, policy)
    assert result.most_over == 0
    assert result.lost == 0
    assert result.begun > 250
    assert result.denied > 0  # more came than there is room for
    assert result.moved


@settings(max_examples=25)
@given(
    st.builds(
        Scenario,
        workers=st.integers(4, 9),
        callers=st.integers(0, 120),
        places=st.integers(1, 6),
        lasts_s=st.just(40.0),
        talk_s=st.floats(1, 60),
        burst=st.floats(0, 1),
        deaths=st.integers(0, 3),
        slow=st.floats(0, 1),
        gateways=st.integers(1, 4),
        seed=st.integers(0, 1000),
    ),
    st.sampled_from([two_choices, least_burdened, any_of_them]),
)
def test_in_no_history_is_a_place_given_twice_or_lost(scenario: Scenario, policy: Policy) -> None:
    result = simulated(scenario, policy)
    assert (result.most_over, result.lost) == (0, 0)


def test_who_waits_comes_in_when_there_is_room() -> None:
    result = simulated(Scenario(workers=4, callers=60, places=10, lasts_s=200, talk_s=30, burst=1.0, slow=0.0))
    assert (result.begun, result.left) == (60, 0)
    assert max(result.waited) > 2  # twenty had to


def test_the_dead_are_left_and_their_callers_see_a_face_again() -> None:
    scenario = Scenario(workers=10, callers=100, places=20, lasts_s=100, talk_s=500, burst=0.0, deaths=3, slow=0.0)
    result = simulated(scenario)
    assert len(result.moved) >= 10
    assert max(result.moved) < 10


@pytest.mark.slow
def test_two_choices_leave_slow_workers_alone_and_make_no_herd() -> None:
    scenario = Scenario(workers=60, callers=1_500, places=20, lasts_s=100, talk_s=100, slow=0.2, seed=3)
    chosen, herd, chance = (simulated(scenario, policy) for policy in (two_choices, least_burdened, any_of_them))
    assert chosen.late_s < chance.late_s
    assert chosen.denied < herd.denied


def test_the_table_has_a_line_for_each_policy(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--workers", "5"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["two choices", "least loaded", "random"]
