"""When an address that was given up may go to somebody else."""

from __future__ import annotations

import pytest

from addrcast.core.domain.record import AddressState, Entry, HoldState, PhysicalHold, Record
from addrcast.core.propagation.audience import Audience, Wait
from addrcast.core.propagation.cooling import (
    Cooling,
    CoolingReason,
    cooling_of_physical,
    cooling_of_record,
    cooling_over,
)

ALL_HAVE_IT = Audience({"h1": 20, "h2": 30}, (), 20)
NOBODY = Audience({}, (), None)
COOLING = Cooling("k", 20, since_ms=1_000, minimum_ms=500)


def record(*, was_bound: bool) -> Entry[Record]:
    value = Record(
        state=AddressState.COOLING,
        physical="172.16.0.1",
        host="h1",
        pool="p",
        since_ms=1_000,
        was_bound=was_bound,
    )
    return Entry("network_address.a.10.0.0.1", value, 20, 5)


def test_the_least_time_includes_what_clocks_may_differ() -> None:
    assert cooling_of_record(record(was_bound=True), cooldown_ms=400, skew_max_ms=100).minimum_ms == 500


def test_an_address_that_was_never_bound_has_no_least_time() -> None:
    cooling = cooling_of_record(record(was_bound=False), cooldown_ms=400, skew_max_ms=100)
    assert cooling_over(cooling, ALL_HAVE_IT, now_ms=1_000).is_over


def test_a_physical_address_left_behind_has_the_least_time() -> None:
    hold = PhysicalHold(state=HoldState.COOLING, account="a", logical="10.0.0.1", host="h1", since_ms=1_000)
    cooling = cooling_of_physical(Entry("physical_address.x", hold, 20, 5), cooldown_ms=400, skew_max_ms=100)
    assert cooling == Cooling("physical_address.x", 20, 1_000, 500)


@pytest.mark.parametrize("audience", [ALL_HAVE_IT, NOBODY], ids=["all have it", "nobody mirrors it"])
def test_it_is_over_once_the_time_is_and_every_host_has_it(audience: Audience) -> None:
    early = cooling_over(COOLING, audience, now_ms=1_499)
    assert (early.is_over, early.reasons, early.due_ms) == (False, (CoolingReason.MINIMUM_TIME,), 1_500)
    over = cooling_over(COOLING, audience, now_ms=1_500)
    assert (over.is_over, over.reasons, over.due_ms) == (True, (), None)


def test_a_host_that_lags_holds_it_for_any_time() -> None:
    verdict = cooling_over(COOLING, Audience({"h1": 19, "h2": 30}, (), 19), now_ms=10**9)
    assert (verdict.is_over, verdict.reasons, verdict.waits) == (False, (CoolingReason.HOST,), (Wait("h1", 20),))


def test_a_lost_host_is_left_out_and_named() -> None:
    verdict = cooling_over(COOLING, Audience({"h1": 20}, ("h2",), 20), now_ms=1_500)
    assert (verdict.is_over, verdict.reasons, verdict.left_out) == (True, (CoolingReason.LOST_LEFT_OUT,), ("h2",))


def test_an_operator_ends_it_whoever_is_waited_for() -> None:
    lagging = Audience({"h1": 1}, (), 1)
    verdict = cooling_over(COOLING, lagging, now_ms=0, overridden=frozenset({"k"}))
    assert (verdict.is_over, verdict.reasons) == (True, (CoolingReason.OVERRIDE,))
    assert not cooling_over(COOLING, lagging, now_ms=0, overridden=frozenset({"other"})).is_over
