"""The ledger beside a twin that recomputes everything from the items each time."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.ranges import Counts
from addrcast.core.domain.record import (
    AddressState,
    Entry,
    HoldState,
    Host,
    HostState,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
    Record,
    Value,
)
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Pool, PoolKind
from addrcast.core.domain.transaction import Change, Event, KeyValue

T = TypeVar("T")

ACCOUNTS = st.sampled_from("ab")
HOSTS = st.sampled_from(["h1", "h2"])
POOLS = st.sampled_from(["own", "net"])
LOGICALS = st.sampled_from([f"10.0.0.{number}" for number in (0, 1, 2, 3, 4, 9)])  # 9 is in neither pool
PHYSICALS = st.sampled_from([f"100.64.0.{number}" for number in (0, 1, 3, 4, 5, 9)])
INSTANCES = st.sampled_from(["i-1", "i-2"])
SPANS = st.sampled_from([("10.0.0.0/30",), ("10.0.0.0/30", "10.0.0.4/31"), ("10.0.0.0/31", "10.0.0.2/31")])
BLOCKS = st.sampled_from([(), ("100.64.0.0/30",), ("100.64.0.0/31", "100.64.0.4/31"), ("100.64.0.4/30",)])


class LedgerMachine(RuleBasedStateMachine):
    """Any value at any key, sound or not; the ledger hears of it by the watch, ahead of it, or late."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = 0
        self.items: dict[str, KeyValue] = {}
        self.waiting: list[Change] = []
        self.ledger = Ledger()
        self.is_prompt = False

    def write(self, values: dict[str, Value | None]) -> None:
        self.revision += 1
        events = []
        for key, value in values.items():
            before = self.items.pop(key, None)
            if value is not None:
                created = before.create_revision if before is not None else self.revision
                self.items[key] = KeyValue(key, encode(value), created, self.revision)
                events.append(Event(key, encode(value), created, self.revision))
            elif before is not None:
                events.append(Event(key, None, 0, self.revision))
        self.waiting.append(Change(self.revision, tuple(events)))
        if self.is_prompt:
            self.watch(1)

    @initialize(span=SPANS, is_prompt=st.booleans())
    def declare(self, span: tuple[str, ...], is_prompt: bool) -> None:
        self.is_prompt = is_prompt
        self.write(
            {
                "pool.own": Pool(kind=PoolKind.LOGICAL, prefixes=span),
                "pool.net": Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/30",), is_shared=True),
                "pool.wire": Pool(kind=PoolKind.PHYSICAL, prefixes=("100.64.0.0/29",)),
                "host.h1": Host(state=HostState.UP, incarnation=1, blocks=("100.64.0.0/30",)),
                "account.a": Account(tier="premium", vni=1, pools=("own", "net")),
            }
        )

    @rule(
        account=ACCOUNTS,
        logical=LOGICALS,
        state=st.sampled_from(AddressState),
        physical=PHYSICALS,
        host=HOSTS,
        pool=POOLS,
        instance=INSTANCES,
        has_hold=st.booleans(),
    )
    def put_record(
        self,
        *,
        account: str,
        logical: str,
        state: AddressState,
        physical: str,
        host: str,
        pool: str,
        instance: str,
        has_hold: bool,
    ) -> None:
        record = Record(
            state=state,
            physical=physical,
            host=host,
            pool=pool,
            since_ms=1,
            instance=instance,
            is_shared=pool == "net",
        )
        values: dict[str, Value | None] = {keyspace.record_key(account, logical): record}
        if has_hold:
            values[keyspace.physical_key(physical)] = PhysicalHold(
                state=HoldState.HELD, account=account, logical=logical, host=host, since_ms=1
            )
            if pool == "net":
                values[keyspace.pool_address_key(pool, logical)] = PoolAddress(account=account)
        self.write(values)

    @rule(physical=PHYSICALS, state=st.sampled_from(HoldState), account=ACCOUNTS, logical=LOGICALS, host=HOSTS)
    def put_hold(self, physical: str, state: HoldState, account: str, logical: str, host: str) -> None:
        hold = PhysicalHold(state=state, account=account, logical=logical, host=host, since_ms=1)
        self.write({keyspace.physical_key(physical): hold})

    @rule(account=ACCOUNTS, instance=INSTANCES, state=st.sampled_from(InstanceState))
    def put_instance(self, account: str, instance: str, state: InstanceState) -> None:
        entry = InstanceEntry(state=state, attempt=0, since_ms=1)
        self.write({keyspace.instance_key(account, instance): entry})

    @rule(logical=LOGICALS, account=ACCOUNTS)
    def put_claim(self, logical: str, account: str) -> None:
        self.write({keyspace.pool_address_key("net", logical): PoolAddress(account=account)})

    @rule(account=ACCOUNTS, tier=st.sampled_from(["premium", "basic"]))
    def put_account(self, account: str, tier: str) -> None:
        self.write({keyspace.account_key(account): Account(tier=tier, vni=1, pools=("own", "net"))})

    @rule(span=SPANS, is_shared=st.booleans(), is_draining=st.booleans(), is_excluding=st.booleans())
    def put_pool(self, span: tuple[str, ...], is_shared: bool, is_draining: bool, is_excluding: bool) -> None:
        pool = Pool(
            kind=PoolKind.LOGICAL,
            prefixes=span,
            exclusions=("10.0.0.1/32",) if is_excluding else (),
            draining=span[-1:] if is_draining else (),
        )
        self.write({"pool.net" if is_shared else "pool.own": pool if not is_shared else _shared(pool)})

    @rule(host=HOSTS, state=st.sampled_from(HostState), blocks=BLOCKS, is_draining=st.booleans())
    def put_host(self, host: str, state: HostState, blocks: tuple[str, ...], is_draining: bool) -> None:
        value = Host(state=state, incarnation=1, blocks=blocks, is_draining=is_draining)
        self.write({keyspace.host_key(host): value})

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        fixed = ("pool.own", "pool.net", "pool.wire")
        key = data.draw(st.sampled_from([None, *sorted(key for key in self.items if key not in fixed)]))
        if key is not None:
            self.write({key: None})

    @precondition(lambda self: self.waiting)
    @rule(count=st.one_of(st.integers(1, 5), st.just(1000)))
    def watch(self, count: int) -> None:
        for change in self.waiting[:count]:
            self.ledger.apply(change)
        del self.waiting[:count]

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def learn_ahead(self, data: st.DataObject) -> None:
        for change in data.draw(st.lists(st.sampled_from(self.waiting), min_size=1, max_size=3)):
            entries = [
                Entry(event.key, decode(event.key, event.value), event.mod_revision, event.create_revision)
                if event.value is not None
                else Entry(event.key)
                for event in change.events
            ]
            self.ledger.learn(entries, change.revision)

    @rule()
    def start_again_from_a_snapshot(self) -> None:
        self.ledger = Ledger.from_items(reversed(list(self.items.values())), self.revision)
        self.waiting.clear()

    @invariant()
    def what_it_says_is_what_the_items_say(self) -> None:
        if not self.waiting and self.revision:
            Twin(self.items).compare(self.ledger)

    def teardown(self) -> None:
        self.watch(1000)
        self.what_it_says_is_what_the_items_say()


def _shared(pool: Pool) -> Pool:
    return Pool(
        kind=pool.kind,
        prefixes=pool.prefixes,
        exclusions=pool.exclusions,
        draining=pool.draining,
        is_shared=True,
    )


class Twin:
    """Everything the ledger answers, by looking at every item each time."""

    def __init__(self, items: dict[str, KeyValue]) -> None:
        self.entries = {
            key: Entry(key, decode(key, item.value), item.mod_revision, item.create_revision)
            for key, item in items.items()
        }
        self.records: dict[tuple[str, str], Entry[Record]] = {}
        self.holds: dict[str, Entry[PhysicalHold]] = {}
        for key, entry in self.entries.items():
            parts, value = parts_of(key), entry.value
            if isinstance(value, Record):
                self.records[parts.first, parts.second] = Entry(key, value, entry.revision, entry.created)
            elif isinstance(value, PhysicalHold):
                self.holds[parts.first] = Entry(key, value, entry.revision, entry.created)

    def compare(self, ledger: Ledger) -> None:
        for account in "ab":
            self.compare_account(ledger, account)
            self.compare_pool(ledger, "own", account)
        self.compare_pool(ledger, "net", "")
        for host in ("h1", "h2"):
            self.compare_host(ledger, host)
            self.compare_idle(list(ledger.idle_reservations(host=host)), host=host)
        self.compare_idle(list(ledger.idle_reservations(pool="net")), pool="net")
        self.compare_queues(ledger)
        wire = self.addresses("pool.wire")
        assert ledger.physical_counts(pool="wire") == self.physical_counts(wire, wire, list(self.holds))

    def compare_account(self, ledger: Ledger, account: str) -> None:
        own = {logical: entry for (of, logical), entry in self.records.items() if of == account}
        assert ledger.records(account) == own
        for state in AddressState:
            for host in (None, "h1", "h2"):
                found = [
                    entry
                    for entry in own.values()
                    if entry.required.state is state and host in (None, entry.required.host)
                ]
                assert list(ledger.in_state(account, state, host=host)) == by_age(found)
                assert ledger.places(account).get((state, host), 0) == len(found)
        for instance in ("i-1", "i-2"):
            former = {
                logical: entry
                for logical, entry in own.items()
                if entry.required.state is AddressState.PRESERVED and entry.required.instance == instance
            }
            assert ledger.preserved(account, instance) == former
        counted = [entry for entry in own.values() if entry.required.state is not AddressState.COOLING]
        assert ledger.usage(account) == len(counted)

    def compare_pool(self, ledger: Ledger, pool: str, account: str) -> None:
        members, usable = self.addresses(f"pool.{pool}"), self.addresses(f"pool.{pool}", is_usable=True)
        mine = {
            logical: entry.required.state
            for (of, logical), entry in self.records.items()
            if entry.required.pool == pool and account in ("", of) and logical in members
        }
        used = set(mine)
        if not account:
            used = {parts_of(key).second for key in self.entries if key.startswith("pool_address.net.")} & members
        counts = ledger.counts(pool, account)
        assert (counts.total, counts.free) == (len(members), len(members - used))
        assert counts.usable == len(usable - used)
        if account:  # in a shared pool two accounts may, against the rules, have one address
            tally = [list(mine.values()).count(state) for state in AddressState]
            assert [counts.reserved, counts.bound, counts.preserved, counts.cooling] == tally
            assert counts.is_balanced
        for asking in account or "ab":
            free = sorted(usable - used - {logical for of, logical in self.records if of == asking})
            assert sorted(ledger.free_logicals(asking, pool, offset=3)) == free
            assert ledger.free_logical(asking, pool) == (free[0] if free else None)

    def compare_host(self, ledger: Ledger, host: str) -> None:
        value = ledger.host(host).value
        blocks = {str(one) for block in (value.blocks if value else ()) for one in ip_network(block)}
        members = blocks & self.addresses("pool.wire")
        kept = [physical for physical, hold in self.holds.items() if hold.required.host == host]
        assert ledger.physical_counts(host=host) == self.physical_counts(members, members, kept)
        free = sorted(members - set(self.holds)) if value and value.takes_use else []
        assert list(ledger.free_physicals(host)) == free
        assert ledger.free_count(host) == len(members - set(kept))

    def compare_idle(self, found: list[Entry[Record]], **where: str) -> None:
        def rank(entry: Entry[Record]) -> tuple[float, int, str]:
            account = self.entries.get(keyspace.account_key(parts_of(entry.key).first))
            if account is None or not isinstance(account.value, Account):
                return float("-inf"), entry.revision, entry.key
            return -DEFAULT_TIERS[account.value.tier].rank, entry.revision, entry.key

        idle = [
            entry
            for entry in self.records.values()
            if entry.required.state is AddressState.RESERVED
            and all(getattr(entry.required, name) == value for name, value in where.items())
        ]
        assert found == sorted(idle, key=rank)

    def compare_queues(self, ledger: Ledger) -> None:
        cooling = [entry for entry in self.records.values() if entry.required.state is AddressState.COOLING]
        assert list(ledger.cooling_records()) == by_age(cooling)
        alone = [entry for entry in self.holds.values() if entry.required.state is HoldState.COOLING]
        assert list(ledger.cooling_physicals()) == by_age(alone)
        stones = [
            entry
            for entry in self.entries.values()
            if isinstance(entry.value, InstanceEntry) and entry.value.state is InstanceState.TOMBSTONE
        ]
        assert list(ledger.tombstones()) == by_age(stones)

    def addresses(self, key: str, *, is_usable: bool = False) -> set[str]:
        pool = self.entries[key].value
        assert isinstance(pool, Pool)
        left_out = [ip_network(text) for text in (*pool.exclusions, *(pool.draining if is_usable else ()))]
        return {
            str(one)
            for prefix in pool.prefixes
            for one in ip_network(prefix)
            if not any(ip_address(one) in network for network in left_out)
        }

    def physical_counts(self, members: set[str], usable: set[str], kept: list[str]) -> Counts:
        inside = [physical for physical in kept if physical in members]
        states = []
        for physical in inside:
            hold = self.holds[physical].required
            record = self.records.get((hold.account, hold.logical))
            if hold.state is HoldState.COOLING:
                states.append(AddressState.COOLING)
            elif record is not None:
                states.append(record.required.state)
        return Counts(
            total=len(members),
            free=len(members) - len(inside),
            reserved=states.count(AddressState.RESERVED),
            bound=states.count(AddressState.BOUND),
            preserved=states.count(AddressState.PRESERVED),
            cooling=states.count(AddressState.COOLING),
            usable=len(usable - set(inside)),
        )


def by_age(entries: list[Entry[T]]) -> list[Entry[T]]:
    return sorted(entries, key=lambda entry: (entry.revision, entry.key))


LedgerMachine.TestCase.settings = settings(stateful_step_count=30)
TestLedger = LedgerMachine.TestCase
