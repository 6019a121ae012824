"""Schedules are drawn: the same seed gives the same one, and no mix has everything in it."""

from __future__ import annotations

from itertools import pairwise

from tests.faults.schedule import FAULTS, LENGTH_S, MEMBER_FAULTS, draw_schedule, each_once


def test_the_same_seed_draws_the_same_schedule() -> None:
    assert draw_schedule(7, 60.0) == draw_schedule(7, 60.0)
    assert draw_schedule(7, 60.0) != draw_schedule(8, 60.0)


def test_over_a_few_seeds_every_fault_is_struck_and_in_none_all_of_them() -> None:
    mixes = [{strike.kind for strike in draw_schedule(seed, 60.0)} for seed in range(10)]
    assert set().union(*mixes) == set(FAULTS)
    assert all(len(mix) < len(FAULTS) for mix in mixes)
    assert all(len(mix & set(MEMBER_FAULTS)) >= 2 for mix in mixes)


def test_faults_of_members_do_not_overlap_and_keep_to_their_lengths() -> None:
    for seed in range(20):
        schedule = [strike for strike in draw_schedule(seed, 60.0) if strike.kind in MEMBER_FAULTS]
        for strike, following in pairwise(schedule):
            assert strike.at_s + strike.for_s < following.at_s
        for strike in schedule:
            shortest, longest = LENGTH_S[strike.kind]
            assert shortest <= strike.for_s <= longest


def test_the_short_list_has_every_fault_once() -> None:
    assert sorted(strike.kind for strike in each_once(3)) == sorted(FAULTS)
