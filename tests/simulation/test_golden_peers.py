"""The peers' own tables and tests, case by case, by the functions that the replay runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from addrcast.simulation.policies.aws import settled_interfaces, settled_prefixes
from addrcast.simulation.policies.azure import settled_v1, target_v2, watermarks
from addrcast.simulation.policies.cilium import excess, multipool_demand, needed

GOLDEN = json.loads((Path(__file__).parent / "golden_peers.json").read_text())


Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    table = GOLDEN[name]
    return [dict(zip(table["fields"], case, strict=True)) for case in table["cases"]]


def test_there_are_79_golden_cases() -> None:
    assert sum(len(cases(name)) for name in GOLDEN) == 79


@pytest.mark.parametrize("case", cases("aws_eni"))
def test_ipamd_holds_these_interfaces_and_addresses(case: Case) -> None:
    interfaces, addresses = settled_interfaces(
        case["pods"], slots=case["per"], interfaces_max=case["me"], **case["kw"]
    )
    assert (float(interfaces), float(addresses)) == (case["enis"], case["total"])


@pytest.mark.parametrize("case", cases("aws_prefix"))
def test_ipamd_holds_these_prefixes(case: Case) -> None:
    assert settled_prefixes(case["pods"], prefixes_max=case["me"] * case["per"], **case["kw"]) == case["pfx"]


@pytest.mark.parametrize("case", cases("azure_v2"))
def test_azure_v2_asks_for_this_target(case: Case) -> None:
    assert target_v2(case["d"], batch=case["B"], buffer=case["f"], target_max=case["mx"]) == case["w"]


@pytest.mark.parametrize("case", cases("azure_v1"))
def test_azure_v1_walks_to_this_request(case: Case) -> None:
    batch, (low, high) = (1, (1, 2)) if case["ex"] else (case["B"], watermarks(case["B"]))
    rested = settled_v1(case["alloc"], case["asg"], batch=batch, low=low, high=high, requested_max=case["mx"])
    assert rested == case["w"]


@pytest.mark.parametrize("case", cases("cilium_needed"))
def test_cilium_needs_this_many(case: Case) -> None:
    lacking = needed(case["a"], case["u"], pre=case["p"], minimum=case["mn"], attached_max=case["mx"])
    assert lacking == case["r"]


@pytest.mark.parametrize("case", cases("cilium_excess"))
def test_cilium_could_release_this_many(case: Case) -> None:
    assert excess(case["a"], case["u"], pre=case["p"], minimum=case["mn"], above=case["ab"]) == case["r"]


@pytest.mark.parametrize("case", cases("cilium_multipool"))
def test_cilium_multipool_demands_this_many(case: Case) -> None:
    assert multipool_demand(case["n"]) == case["r"]


def test_many_accounts_at_once_give_what_each_gives_alone() -> None:
    pods = np.arange(200)
    for warm_eni in (0, 1, 3):
        together = settled_interfaces(pods, slots=9, warm_eni=warm_eni)[1]
        assert together.tolist() == [settled_interfaces(pod, slots=9, warm_eni=warm_eni)[1] for pod in pods]
