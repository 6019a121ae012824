"""A small cluster with a controller, for tests of its duties."""

from __future__ import annotations

from addrcast.core.controller.messages import Duty, Tick
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.keyspace import tier_key
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import HOUR_MS, Tier
from addrcast.core.domain.transaction import Delete, Transaction
from addrcast.simulation.cluster import ModelCluster
from addrcast.simulation.control import ModelController

SETTINGS = ControllerSettings(skew_max_ms=500, host_lost_ms=10_000, deadline_max_ms=2_000)


BRISK = Tier(
    rank=2,
    weight=1,
    service_level=0.8,
    hold_ms=60_000,
    age_limit_ms=HOUR_MS,
    cooldown_ms=1_000,
    headroom=0,
)


def removal(key: str) -> Transaction:
    return Transaction((), (Delete(key),))


class World:
    """Two hosts that mirror account a, and a controller; `pass_ms` lets all of them work."""

    def __init__(self, settings: ControllerSettings = SETTINGS, *, hosts: int = 2) -> None:
        self.cluster = ModelCluster()
        self.cluster.put(tier_key("basic"), BRISK)
        self.cluster.add_account("a", vni=7)
        for number in range(1, hosts + 1):
            self.cluster.add_host(f"h{number}").start(self.cluster.now_ms)
            self.cluster.subscribe(f"h{number}", "a")
        self.settle_hosts()
        self.settings = settings
        self.control: ModelController = self.cluster.controller(settings)

    def settle_hosts(self) -> None:
        for host in self.cluster.hosts.values():
            host.settle(self.cluster.now_ms)

    def pass_ms(self, passed_ms: int, *, step_ms: int = 250) -> None:
        for _ in range(0, passed_ms, step_ms):
            self.cluster.now_ms += step_ms
            self.settle_hosts()
            self.control.settle(self.cluster.now_ms)

    def mirrors(self, account: str = "a") -> dict[str, str]:
        found = self.cluster.ledger().subscriptions(account).items()
        values = {host: entry.required for host, entry in found}
        return {
            host: "leaving" if value.is_leaving else "idle" if value.is_idle else "stands"
            for host, value in values.items()
        }

    def asked(self, duty: Duty) -> list[str]:
        """The keys that the commits under way write first."""
        return [str(d.writes[0][0].key) for c in self.control.asked if c.duty is duty for d in c.drafts]

    def look(self) -> None:
        self.control.catch_up()
        self.control.give(Tick(), self.cluster.now_ms)

    def state(self, logical: str, account: str = "a") -> AddressState | None:
        value = self.cluster.ledger().record(account, logical).value
        return None if value is None else value.state
