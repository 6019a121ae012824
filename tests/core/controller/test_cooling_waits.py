"""Why addresses cool still, counted by account."""

from __future__ import annotations

from collections import Counter

from addrcast.core.controller.cooling_waits import CoolingWaits, cooling_waits
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.propagation.cooling import CoolingReason
from addrcast.simulation.cluster import ModelCluster

SETTINGS = ControllerSettings(skew_max_ms=1_000)


def cluster_of(*accounts: str) -> ModelCluster:
    """Hosts h1 and h2 that mirror the accounts; only h1 has an agent."""
    cluster = ModelCluster()
    for vni, account in enumerate(accounts, 1):
        cluster.add_account(account, vni=vni)
    for host in ("h1", "h2"):
        cluster.add_host(host)
        for account in accounts:
            cluster.subscribe(host, account)
    cluster.hosts["h1"].start(cluster.now_ms)
    return cluster


def test_cooling_addresses_are_counted_by_reason_and_by_host_that_holds_them_up() -> None:
    cluster = cluster_of("a", "b")
    cluster.cool("a", cluster.reserve("a", "h1"))
    cluster.create("a", "i1", "h1")
    cluster.delete("a", "i1")
    cluster.end_hold("a", "10.0.0.1")
    cluster.reserve("b", "h1")
    cluster.hosts["h1"].settle(cluster.now_ms)
    assert cooling_waits(cluster.ledger(), SETTINGS, now_ms=cluster.now_ms) == {
        "a": CoolingWaits(
            addresses=2,
            over=0,
            reasons=Counter({CoolingReason.HOST: 2, CoolingReason.MINIMUM_TIME: 1}),
            hosts=Counter({"h2": 2}),
            due_ms=cluster.now_ms + 31_000,
        )
    }


def test_a_physical_address_that_a_record_left_counts_for_the_account_of_the_record() -> None:
    cluster = cluster_of("a")
    logical = cluster.reserve("a", "h1")
    cluster.create("a", "i1", "h2", logical=logical)
    waits = cooling_waits(cluster.ledger(), SETTINGS, now_ms=cluster.now_ms)["a"]
    assert (waits.addresses, waits.hosts) == (1, {"h1": 1, "h2": 1})


def test_what_is_about_to_be_free_waits_for_nothing() -> None:
    cluster = cluster_of("a")
    cluster.hosts["h2"].start(cluster.now_ms)
    cluster.cool("a", cluster.reserve("a", "h1"))
    for host in cluster.hosts.values():
        host.settle(cluster.now_ms)
    assert cooling_waits(cluster.ledger(), SETTINGS, now_ms=cluster.now_ms) == {"a": CoolingWaits(1, 1)}


def test_the_lines_name_the_reasons_and_the_hosts_that_hold_up_most_first() -> None:
    cluster = cluster_of("a")
    for _ in range(3):
        cluster.cool("a", cluster.reserve("a", "h1"))
    cluster.hosts["h1"].settle(cluster.now_ms)
    cluster.cool("a", cluster.reserve("a", "h1"))
    (waits,) = cooling_waits(cluster.ledger(), SETTINGS, now_ms=cluster.now_ms).values()
    assert list(waits.lines()) == [
        "4 addresses cool, 0 of them about to be free",
        "a host has not acknowledged: 4",
        "host h2 holds up 4",
        "host h1 holds up 1",
    ]
