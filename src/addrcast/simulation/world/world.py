"""A whole world from one seed: store, hosts, replicas, controllers, callers, faults, and all checkers."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from addrcast.core.agent.machine import AgentMachine
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.assignment.request import Want
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.standing import Standing
from addrcast.core.dataplane.compile import mapped_physical
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.address import Family
from addrcast.core.domain.codec import encode
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import EPOCH, account_key, host_key, pool_key, tier_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import Host, HostState, StoreEpoch
from addrcast.core.domain.resource import Account, Pool, PoolKind, Tier
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.core.propagation.audience import LostHosts
from addrcast.simulation.checkers import Broken, Truth
from addrcast.simulation.faults import SKEW_MAX_MS, Faults, draw_mix
from addrcast.simulation.workload import DEADLINE_MS, Callers, Instance, Workload
from addrcast.simulation.world.api import SimulatedApi
from addrcast.simulation.world.attachments import Attachments
from addrcast.simulation.world.controller import SimulatedController
from addrcast.simulation.world.follower import PREFIXES
from addrcast.simulation.world.host import SimulatedHost
from addrcast.simulation.world.link import Link, Weather
from addrcast.simulation.world.promises import Promises
from addrcast.simulation.world.scarcity import ScarcityChecker, addresses_of
from addrcast.simulation.world.site import Site
from addrcast.simulation.world.tables import TableChecker
from addrcast.simulation.world.timeline import Timeline
from addrcast.simulation.world.variants import COMPLETE, Variant, acknowledged_for_all, leased, without_attempts

if TYPE_CHECKING:
    from addrcast.core.domain.record import Value
    from addrcast.core.domain.transaction import Change
    from addrcast.core.domain.transitions import Draft

SAFETY_MS = 14_000
CALM_MS = 11_000
COOLDOWN_MS = 600
COOLING_MAX_MS = 5_000

AGENT = AgentSettings(
    batch_max=8,
    acknowledge_after_ms=150,
    audit_every_ms=4_000,
    confirm_after_ms=150,
    reassure_after_ms=2_000,
    removal_max=3,
    backoff=Backoff(first_ms=50, last_ms=1_000),
)


class World:
    """Everything of one run; `run` raises Broken at the first violation."""

    def __init__(self, seed: int, variant: Variant = COMPLETE) -> None:
        self.variant = variant
        self.dice = Random(f"world {seed}")
        self.mix = draw_mix(self.dice, variant.emphasis)
        self.shards = Random(f"shards {seed}").randint(1, 3)
        self.timeline = Timeline()
        self.site = Site(self.timeline)
        self.truth = Truth()
        self.accounts: dict[str, Account] = {}
        self.hosts: dict[str, SimulatedHost] = {}
        self.weather = self._draw_weather()
        self._logicals: dict[str, frozenset[str]] = {}
        self._physicals: dict[str, frozenset[str]] = {}
        self._declare()
        self.tables = TableChecker(
            self.truth,
            self.hosts,
            {account.vni: name for name, account in self.accounts.items()},
            is_lost_counted="nft" in self.mix,
        )
        shared = frozenset(["common"])
        self.scarcity = ScarcityChecker(self.truth, self.accounts, self._logicals, self._physicals, shared)
        self.promises = Promises(self.truth)
        self.attachments = Attachments(self.truth, self.hosts)
        self.truth.load(self.site.model.scan("").items, self.site.model.revision)
        self.site.publish()
        self.site.on_change.append(self._changed)
        self.site.on_restore.append(self._restored)
        self.apis = [self._api(number) for number in range(self.dice.randint(2, 3))]
        self.controllers = [self._controller(number) for number in range(2)]
        self.callers = self._draw_callers()
        self.workload = self._workload()
        self.faults = Faults(self, self.dice)
        for host in self.hosts.values():
            host.start()
        self._keep_time()

    def run(self) -> None:
        """Live through the faults, then through a calm end in which everything must converge."""
        self.timeline.run_until(SAFETY_MS)
        self.timeline.note("world", "calm")
        self.weather.calm()
        self.callers.calm()
        self.faults.end()
        self.workload.end()
        for controller in self.controllers:
            controller.need_max = 0
        self.timeline.run_until(SAFETY_MS + CALM_MS)
        self._check_end()

    def ledger(self) -> Ledger:
        """Everything in the store, as it stands."""
        return Ledger.from_items(self.site.model.scan("").items, self.site.model.revision)

    def commit(self, draft: Draft) -> bool:
        """Commit a transition at once."""
        result = self.site.model.commit([draft.transaction()])[0]
        self.site.publish()
        return result.is_success

    def _put(self, key: str, value: Value) -> None:
        self.site.model.commit([Transaction((), (Put(key, encode(value)),))])

    def _changed(self, change: Change) -> None:
        self.truth.see(change)
        self.attachments.see(change)
        self.scarcity.moved(self.timeline.now_ms)

    def _restored(self) -> None:
        model = self.site.model
        self.truth.load(model.scan("").items, model.revision)
        self.tables.restored()
        self.scarcity.restored()
        self.attachments.restored()
        self.workload.restored()

    def _keep_time(self) -> None:
        self.site.expire()
        self.timeline.after(50, self._keep_time)

    def _draw_weather(self) -> Weather:
        dice, mix = self.dice, self.mix
        return Weather(
            travel_ms=dice.choice([4, 12, 40]),
            late=dice.uniform(0.01, 0.1) if "late" in mix else 0.0,
            request_loss=dice.uniform(0, 0.05) if "lost" in mix else 0.0,
            reply_loss=dice.uniform(0, 0.1) if "lost" in mix else 0.0,
            stall=dice.uniform(0.02, 0.6) if "stalled" in mix else 0.0,
        )

    def _draw_callers(self) -> Callers:
        dice, mix = self.dice, self.mix
        return Callers(
            repeated=dice.uniform(0.1, 0.5) if "repeated" in mix else 0.0,
            late=dice.uniform(0.05, 0.4) if "late" in mix else 0.0,
            lost=dice.uniform(0, 0.1) if "lost" in mix else 0.0,
            overtaken=dice.uniform(0, 0.3),
            moved=dice.uniform(0, 0.3),
            asks_host=dice.choice([0.0, 0.5, 1.0]),
            life_ms=dice.choice([1_000, 3_000, 8_000]),
            gap_ms=dice.choice([300, 2_000]),
        )

    def _declare(self) -> None:
        dice, mix = self.dice, self.mix
        is_shared = "shared" in mix
        size = 8 if "scarce" in mix else 32
        self._put(EPOCH, StoreEpoch(epoch=1))
        self.site.model.commit([Standing().renumbering(self.shards)])
        self._put(tier_key("basic"), _tier(dice, rank=2))
        self._put(tier_key("premium"), _tier(dice, rank=0))
        pools = {
            "own": Pool(kind=PoolKind.LOGICAL, prefixes=(f"10.0.0.0/{32 - size.bit_length() + 1}",)),
            "common": Pool(
                kind=PoolKind.LOGICAL, prefixes=(f"10.1.0.0/{32 - size.bit_length() + 1}",), is_shared=True
            ),
            "six": Pool(kind=PoolKind.LOGICAL, prefixes=("fd00::/122",)),
            "physical": Pool(kind=PoolKind.PHYSICAL, prefixes=("192.0.2.0/24",)),
            "physical6": Pool(kind=PoolKind.PHYSICAL, prefixes=("2001:db8::/32",)),
        }
        for name, pool in pools.items():
            self._put(pool_key(name), pool)
        self._logicals = {"own": addresses_of("10.0.0.0", size), "common": addresses_of("10.1.0.0", size)}
        for number, tier in enumerate(("basic", "premium", "basic")):
            named: tuple[str, ...] = ("common",) if is_shared and number < 2 else ("own",)
            if "dual" in mix:
                named = (*named, "six")
            account = self.accounts[f"a{number}"] = Account(tier=tier, vni=100 + number, pools=named)
            self._put(account_key(f"a{number}"), account)
        for number in range(dice.randint(2, 4)):
            self._declare_host(f"h{number}", number, size=4 if "scarce" in mix else 16)

    def _declare_host(self, name: str, number: int, *, size: int) -> None:
        first = f"192.0.2.{number * 16}"
        blocks = [f"{first}/{32 - size.bit_length() + 1}"]
        if "dual" in self.mix:
            blocks.append(f"2001:db8:0:{number + 1}::/124")
        self._physicals[name] = addresses_of(first, size)
        self._put(host_key(name), Host(state=HostState.UP, incarnation=0, blocks=tuple(blocks)))
        host = self.hosts[name] = SimulatedHost(name, self._link(), self.dice, AGENT, clock_ahead_ms=self._ahead())
        host.snapshots_early = self.variant.snapshots_early
        host.reports_attached = self.variant.reports
        if "slow" in self.mix:
            host.kernel_ms = self.dice.choice([20, 400, 1_500])

    def _ahead(self) -> int:
        return self.dice.randint(0, SKEW_MAX_MS) if "skewed" in self.mix else 0

    def _link(self) -> Link:
        link = Link(self.site, self.timeline, self.dice, self.weather)
        link.rewrite = self._rewrite
        return link

    def _rewrite(self, transaction: Transaction) -> Transaction:
        variant = self.variant
        if variant.rewrite is not None:
            transaction = variant.rewrite(transaction)
        if variant.shares_acknowledgements:
            transaction = acknowledged_for_all(transaction, self.truth.subscriptions)
        if variant.leases:
            transaction = leased(transaction, self._live_lease)
        return transaction

    def _live_lease(self, host: str) -> int:
        return self.hosts[host].lease if self.site.model.read([f"host_alive.{host}"]).items else 0

    def _api(self, number: int) -> SimulatedApi:
        offset = self.dice.choice([0, 0, 5 * number])
        api = SimulatedApi(f"api{number}", self._link(), offset=offset, clock_ahead_ms=self._ahead())
        api.is_blind = self.variant.blind
        if not self.variant.attempts:
            api.door = without_attempts
        return api

    def _controller(self, number: int) -> SimulatedController:
        is_left_out = "nft" not in self.mix or self.variant.lost_left_out
        settings = ControllerSettings(
            skew_max_ms=SKEW_MAX_MS,
            deadline_max_ms=0 if self.variant.tombstone_is_short else DEADLINE_MS,
            host_lost_ms=1_000,
            lost_hosts=LostHosts.LEFT_OUT if is_left_out else LostHosts.WAITED_FOR,
            sweep_every_ms=100,
            round_every_ms=300,
            plan_every_ms=1_500,
            batch_max=8,
            retry_ms=200,
        )
        prefixes = tuple(prefix for prefix in PREFIXES if prefix not in self.variant.deaf_to)
        controller = SimulatedController(
            f"controller{number}",
            self._link(),
            self.dice,
            settings,
            clock_ahead_ms=self._ahead(),
            prefixes=prefixes,
        )
        controller.stubborn_ms = 3_000 if "failover" in self.mix else 0
        return controller

    def _workload(self) -> Workload:
        workload = Workload(
            self.timeline,
            self.dice,
            callers=self.callers,
            apis=self.apis,
            hosts=sorted(self.hosts),
            promises=self.promises,
            scarcity=self.scarcity,
            attachments=self.attachments,
        )
        count = self.dice.randint(4, 16)
        for number in range(count):
            wants = (Want(family=Family.IPV4), Want(family=Family.IPV6)) if "dual" in self.mix else (Want(),)
            workload.add(Instance(self.dice.choice(sorted(self.accounts)), f"i{number}", wants))
        return workload

    def _check_end(self) -> None:
        ledger = self.ledger()
        for finding in violations(ledger):
            raise Broken(f"check: {finding.rule}", f"{finding.what}: {finding.keys}")
        if self.workload.unsettled:
            raise Broken("everyone is answered", f"{self.workload.unsettled} wait on")
        for entry in (*ledger.cooling_records(), *ledger.cooling_physicals()):
            if entry.required.since_ms < self.timeline.now_ms - COOLING_MAX_MS:
                raise Broken("cooling ends", f"{entry.key} still cools: {entry.value}")
        for name, host in self.hosts.items():
            self._check_host(name, host, ledger)

    def _check_host(self, name: str, host: SimulatedHost, ledger: Ledger) -> None:
        state = ledger.host(name).required.state
        if state is not HostState.UP or not isinstance(host.machine, AgentMachine):
            raise Broken("hosts return", f"{name} is {state.value}")
        desired = {
            account.vni: {
                logical: mapped
                for logical, record in ledger.records(account_id).items()
                if (mapped := mapped_physical(record.required)) is not None
            }
            for account_id, account in self.accounts.items()
            if ledger.subscription(name, account_id)
        }
        actual = {vni: dict(entries) for vni, entries in host.table.dump().items()}
        if {vni: found for vni, found in actual.items() if found} != {
            vni: wanted for vni, wanted in desired.items() if wanted
        }:
            raise Broken("tables converge", f"{name} has {actual}, the store {desired}")


def _tier(dice: Random, *, rank: int) -> Tier:
    return Tier(
        rank=rank,
        weight=2.0,
        service_level=0.9,
        hold_ms=dice.choice([500, 3_000]),
        age_limit_ms=dice.choice([800, 5_000]),
        cooldown_ms=COOLDOWN_MS,
        headroom=0.0,
    )
