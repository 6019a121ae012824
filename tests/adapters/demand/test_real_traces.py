"""The recognised layouts on the traces they come from, where those are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from addrcast.adapters.demand.history import read_history
from addrcast.core.domain.demand import CountHistory, History, fill_gaps, window_sums


def counts_of(history: History) -> CountHistory:
    assert history.counts is not None
    return history.counts


def test_bitbrains_metrics_give_the_derived_counts(shared_data: Path) -> None:
    recorded = read_history(shared_data / "bitbrains_rnd" / "instances.csv.gz")
    derived = read_history(shared_data / "bitbrains_rnd" / "metrics_hourly.parquet")
    counts = counts_of(recorded)
    assert (len(counts.accounts), counts.steps, counts.step_s) == (298, 2184, 3600)
    assert recorded.report.gaps - recorded.report.fleet_gaps * 298 == 8355
    assert np.array_equal(counts.counts, counts_of(derived).counts, equal_nan=True)
    assert not np.isnan(fill_gaps(counts).counts).any()


def test_dlrm_events_give_the_recorded_counts(shared_data: Path) -> None:
    history = read_history(shared_data / "alibaba_dlrm_2025" / "events.csv.gz")
    recorded = counts_of(read_history(shared_data / "alibaba_dlrm_2025" / "instances.csv.gz"))
    counts = counts_of(history)
    assert counts.accounts == recorded.accounts
    assert np.array_equal(counts.counts, recorded.counts)
    assert np.maximum(np.diff(counts.counts, axis=1), 0).sum() == 3048
    assert history.events is not None
    creates, _, _ = window_sums(history.events, start_s=0, step_s=3600, steps=counts.steps + 1)
    assert creates.sum() == 9805


def test_jobs_give_the_recorded_processors(shared_data: Path) -> None:
    counts = counts_of(read_history(shared_data / "hpc_swf" / "nasa_ipsc_1993_events.csv.gz"))
    recorded = counts_of(read_history(shared_data / "hpc_swf" / "nasa_ipsc_1993_instances.csv.gz"))
    assert recorded.start_s % 3600 == 3
    order = [counts.accounts.index(str(int(account.removeprefix("user")))) for account in recorded.accounts]
    assert np.array_equal(counts.counts[order, : recorded.steps], recorded.counts)


@pytest.mark.parametrize(
    ("file", "accounts", "steps", "step_s"),
    [
        ("m4_hourly/m4_hourly_train.csv.gz", 414, 960, 3600),
        ("helios_earth_vc/instances.csv.gz", 16, 744, 3600),
        ("helios_earth_vc/metrics_5min.csv.gz", 16, 8928, 300),
    ],
)
def test_the_other_layouts_are_read_whole(
    shared_data: Path, file: str, accounts: int, steps: int, step_s: int
) -> None:
    report = read_history(shared_data / file).report
    assert (report.accounts, report.steps, report.step_s) == (accounts, steps, step_s)
    assert not report.ignored
