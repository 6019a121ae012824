"""Hosts that die and return, agents that are slow, a controller that is late: no address reaches a stranger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from addrcast.core.agent.messages import Disturbed
from addrcast.core.controller.messages import Tick
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.dataplane.table import TableEntry, TableKey
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import PHYSICALS, RECORDS, tier_key
from addrcast.core.domain.record import AddressState, EpochState, HoldState, HostState, Record
from addrcast.core.domain.resource import Tier
from addrcast.simulation.cluster import ModelCluster

if TYPE_CHECKING:
    from collections.abc import Callable

VNIS = {"a": 7, "b": 8}
HOSTS = ("h1", "h2")
# Without least times, acknowledgements are all that keeps an address from going to a stranger too early.
AT_ONCE = Tier(
    rank=2,
    weight=1.0,
    service_level=0.8,
    hold_ms=3_600_000,
    age_limit_ms=3_600_000,
    cooldown_ms=0,
    headroom=0.0,
)
SETTINGS = ControllerSettings(skew_max_ms=0, host_lost_ms=3_000, deadline_max_ms=10_000)
LEAVING_AT_ONCE = replace(SETTINGS, leave_after_ms=0, round_every_ms=1)

accounts = strategies.sampled_from(sorted(VNIS))
hosts = strategies.sampled_from(HOSTS)
# With every fault always on, hosts are hardly ever up, and what only a working host can get wrong is never seen.
FAULTS = ("kill", "cut off", "silence", "flush", "refuse", "lost reply", "restore", "compact", "leave", "late")

picks = strategies.integers(0, 7)


def drawn(fault: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The rule applies only where the fault is part of the mix."""
    return precondition(lambda self: fault in self.faults)


class Hosts(RuleBasedStateMachine):
    @initialize(faults=strategies.sets(strategies.sampled_from(FAULTS), max_size=3))
    def build(self, faults: set[str]) -> None:
        self.faults = faults
        self.cluster = ModelCluster(block_bits=30)
        self.cluster.put(tier_key("basic"), AT_ONCE)
        for account, vni in VNIS.items():
            self.cluster.add_account(account, vni=vni)
        for host in HOSTS:
            self.cluster.add_host(host).start(self.cluster.now_ms)
            for account in VNIS:
                self.cluster.subscribe(host, account)
        self.settings = LEAVING_AT_ONCE if "leave" in faults else SETTINGS
        self.controllers = [self.cluster.controller(self.settings), self.cluster.controller(self.settings)]
        self.created = 0
        self.excused: dict[str, set[TableEntry]] = {host: set() for host in HOSTS}
        for host in HOSTS:
            self.cluster.hosts[host].settle(self.cluster.now_ms)

    def records(self, account: str, *states: AddressState) -> list[str]:
        found = self.cluster.ledger().records(account)
        return sorted(logical for logical, entry in found.items() if entry.required.state in states)

    @rule(account=accounts, host=hosts)
    def reserve(self, account: str, host: str) -> None:
        if self.cluster.ledger().free_physical(host) is not None:
            self.cluster.reserve(account, host)

    @rule(account=accounts, host=hosts, pick=picks)
    def create(self, account: str, host: str, pick: int) -> None:
        idle = self.records(account, AddressState.RESERVED, AddressState.PRESERVED)
        if self.cluster.ledger().free_physical(host) is not None:
            self.created += 1
            logical = idle[pick % len(idle)] if idle else None
            self.cluster.create(account, f"i{self.created}", host, logical=logical)

    @rule(account=accounts, host=hosts, is_rebound=strategies.booleans(), looks=strategies.integers(1, 3))
    def create_late(self, account: str, host: str, is_rebound: bool, looks: int) -> None:
        """A create is decided now and committed once the controller has looked a few times."""
        idle = self.records(account, AddressState.RESERVED, AddressState.PRESERVED)
        if self.cluster.ledger().free_physical(host) is not None:
            self.created += 1
            logical = idle[0] if is_rebound and idle else None
            draft = self.cluster.create_draft(account, f"i{self.created}", host, logical=logical)
            for _ in range(looks):
                self.control()
            self.cluster.commit(draft)

    @rule(account=accounts, pick=picks)
    def delete(self, account: str, pick: int) -> None:
        bound = self.records(account, AddressState.BOUND)
        if bound:
            record = self.cluster.ledger().record(account, bound[pick % len(bound)]).required
            assert self.cluster.delete(account, record.instance)

    @rule(account=accounts, pick=picks)
    def cool(self, account: str, pick: int) -> None:
        idle = self.records(account, AddressState.RESERVED, AddressState.PRESERVED)
        if idle:
            assert self.cluster.cool(account, idle[pick % len(idle)])

    @drawn("leave")
    @rule(account=accounts, host=hosts)
    def mirror(self, account: str, host: str) -> None:
        self.cluster.subscribe(host, account)

    @drawn("kill")
    @rule(host=hosts)
    def kill(self, host: str) -> None:
        self.cluster.hosts[host].kill()

    @drawn("kill")
    @rule(host=hosts)
    def start(self, host: str) -> None:
        self.cluster.hosts[host].start(self.cluster.now_ms)

    @drawn("cut off")
    @rule(host=hosts)
    def cut_off_or_reconnect(self, host: str) -> None:
        self.cluster.hosts[host].is_cut_off ^= True

    @drawn("silence")
    @rule(host=hosts)
    def fall_silent(self, host: str) -> None:
        self.cluster.set_silent(host)

    @drawn("flush")
    @rule(host=hosts)
    def flush_links(self, host: str) -> None:
        self.cluster.hosts[host].table.flush_links()
        self.cluster.hosts[host].give(Disturbed("a link went down and up"), self.cluster.now_ms)

    @drawn("refuse")
    @rule(host=hosts, account=accounts, pick=picks)
    def refuse_or_take(self, host: str, account: str, pick: int) -> None:
        """The kernel neither writes nor deletes an entry, until it is asked to again."""
        self.cluster.hosts[host].table.refused ^= {TableKey(VNIS[account], f"10.0.0.{pick}")}

    @rule(host=hosts, pick=picks, is_reply_lost=strategies.booleans())
    def carry_out(self, host: str, pick: int, is_reply_lost: bool) -> None:
        asked = self.cluster.hosts[host].asked
        if asked:
            is_lost = is_reply_lost and "lost reply" in self.faults
            self.cluster.hosts[host].carry_out(pick % len(asked), is_reply_lost=is_lost)

    @rule(host=hosts, picks=strategies.lists(picks, min_size=1, max_size=6))
    def work(self, host: str, picks: list[int]) -> None:
        """The agent does some of what there is to do, in any order."""
        model = self.cluster.hosts[host]
        for pick in picks:
            if model.answers and pick % 2:
                model.answer(self.cluster.now_ms, pick % len(model.answers))
            elif model.asked:
                model.carry_out(pick % len(model.asked))
            else:
                model.deliver(self.cluster.now_ms)

    @rule(host=hosts)
    def settle(self, host: str) -> None:
        self.cluster.hosts[host].settle(self.cluster.now_ms)

    @drawn("late")
    @rule(which=strategies.integers(0, 1), lag=strategies.integers(0, 4), seconds=strategies.integers(0, 1))
    def look(self, which: int, lag: int, seconds: int) -> None:
        """A controller looks at the store as it was a few revisions ago."""
        self.cluster.now_ms += seconds * 1_000
        controller = self.controllers[which]
        controller.catch_up(up_to=max(self.cluster.store.revision - lag, controller.ledger.revision))
        controller.give(Tick(), self.cluster.now_ms)

    @drawn("late")
    @rule(which=strategies.integers(0, 1), is_reply_lost=strategies.booleans())
    def act(self, which: int, is_reply_lost: bool) -> None:
        """A controller does what it decided on, perhaps long ago."""
        controller = self.controllers[which]
        while controller.asked:
            controller.carry_out(is_reply_lost=is_reply_lost)
        while controller.answers:
            controller.give(controller.answers.pop(), self.cluster.now_ms)

    @rule()
    def control(self) -> None:
        """A controller that keeps up."""
        self.cluster.now_ms += 1_000
        self.controllers[0].settle(self.cluster.now_ms)

    @rule(seconds=strategies.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.cluster.now_ms += seconds * 1_000
        for host in self.cluster.hosts.values():
            host.tick(self.cluster.now_ms)

    @precondition(lambda self: "restore" in self.faults and self.cluster.ledger().epoch.required.epoch < 3)
    @rule()
    def restore(self) -> None:
        self.cluster.restore()

    @drawn("compact")
    @rule()
    def compact(self) -> None:
        for controller in self.controllers:
            controller.catch_up()
        self.cluster.store.compact(self.cluster.store.revision)

    def knows(self, host: str) -> set[TableEntry]:
        """What a host maps, or may yet map since it was told so."""
        model = self.cluster.hosts[host]
        entries = set(model.table.entries())
        if model.machine is not None:
            for account in model.machine.accounts.values():
                vni = VNIS[account.name]
                entries |= {TableEntry(vni, logical, to) for logical, to in account.mirror.kept.items()}
        for effect in model.asked:
            entries |= set(getattr(effect, "upserts", ()))
        return entries

    @invariant()
    def no_counted_host_sends_to_a_stranger(self) -> None:
        ledger = self.cluster.ledger()
        holds = {rest: entry.required for rest, entry in ledger.items(PHYSICALS)}
        for host in HOSTS:
            state = ledger.host(host).required.state
            if state is HostState.LOST:  # it was left out: whatever it knows of may have gone to others since
                self.excused[host] |= self.knows(host)
                continue
            self.excused[host] &= self.knows(host)
            for entry in self.cluster.hosts[host].table.entries():
                hold = holds.get(entry.physical)
                if entry in self.excused[host]:
                    continue
                assert hold is not None, f"{host} maps {entry}, which is free"
                assert (VNIS[hold.account], hold.logical) == (entry.vni, entry.logical), f"{host}: {entry}, {hold}"

    @invariant()
    def the_store_is_sound(self) -> None:
        assert violations(self.cluster.ledger()) == []

    def teardown(self) -> None:
        if hasattr(self, "cluster"):
            self.calm_down()
            self.check_everything_has_converged()

    def calm_down(self) -> None:
        for name, host in self.cluster.hosts.items():
            host.is_cut_off = False
            host.table.refused.clear()
            self.cluster.set_alive(name)
            if host.machine is None:
                host.start(self.cluster.now_ms)
        leader = self.cluster.controller(self.settings)
        for _ in range(90):
            for host in self.cluster.hosts.values():
                host.settle(self.cluster.now_ms)
            leader.settle(self.cluster.now_ms)
            self.cluster.now_ms += 1_000
            self.no_counted_host_sends_to_a_stranger()

    def check_everything_has_converged(self) -> None:
        ledger = self.cluster.ledger()
        assert violations(ledger) == []
        assert ledger.epoch.required.state is EpochState.OPEN
        assert not len(ledger.cooling_records())
        assert not len(ledger.cooling_physicals())
        assert not len(ledger.tombstones())
        assert all(entry.required.state is HoldState.HELD for _, entry in ledger.items(PHYSICALS))
        if "leave" in self.faults:
            for account in VNIS:
                in_use = {entry.required.host for entry in ledger.records(account).values()}
                assert ledger.subscriptions(account).keys() == in_use
        records: dict[str, Record] = {rest: entry.required for rest, entry in ledger.items(RECORDS)}
        for host in HOSTS:
            assert ledger.host(host).required.state is HostState.UP
            desired = sorted(
                TableEntry(VNIS[account], logical, record.physical)
                for account in VNIS
                if host in ledger.subscriptions(account)
                for rest, record in records.items()
                for owner, _, logical in [rest.partition(".")]
                if owner == account
            )
            assert self.cluster.hosts[host].table.entries() == desired


TestHosts = Hosts.TestCase
TestHosts.settings = settings(stateful_step_count=60)
