"""The checkers of states, hosts and plans find what they are there to find, in a small history that is changed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.faults.checker.hosts import (
    CONVERGE,
    OLDER,
    STRANGER,
    check_end,
    check_order,
    check_strangers,
    unsettled,
)
from tests.faults.checker.plans import DISPLACED, check_plans
from tests.faults.checker.states import LOWEST_FIRST, Owned, States
from tests.faults.checker.times import Times
from tests.faults.history import Mapped, Operation, Planned, Put, Seen
from tests.faults.site import ACCOUNTS, HOSTS, LOGICALS, PHYSICALS, resources

from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import (
    EPOCH,
    account_key,
    host_key,
    instance_key,
    physical_key,
    pool_address_key,
    pool_key,
    record_key,
    subscription_key,
    tier_key,
)
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import (
    AddressState,
    HoldState,
    Host,
    HostState,
    InstanceEntry,
    InstanceState,
    Outcome,
    PhysicalHold,
    PoolAddress,
    Record,
    StoreEpoch,
    Subscription,
    Value,
)
from addrcast.core.domain.resource import Account, Pool, Tier
from addrcast.core.domain.transaction import Change, Event

KEY_OF = {Tier: tier_key, Pool: pool_key, Host: host_key, Account: account_key}
SECOND = 1_000_000_000


class Story:
    """Changes one after the other, each at the next revision."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._created: dict[str, int] = {}
        self.put((EPOCH, StoreEpoch(epoch=1)))
        for name, resource in resources():
            is_host = isinstance(resource, Host)
            value = replace(resource, state=HostState.UP) if is_host else resource
            self.put((KEY_OF[type(resource)](name), value))
        self.founded = len(self.changes)
        for host in HOSTS:
            for account in ACCOUNTS:
                self.put((subscription_key(host, account), Subscription()))

    def put(self, *writes: tuple[str, Value | None]) -> int:
        revision = len(self.changes) + 1
        events = []
        for key, value in writes:
            created = self._created.setdefault(key, revision)
            if value is None:
                del self._created[key]
            events.append(Event(key, None if value is None else encode(value), created, revision))
        self.changes.append(Change(revision, tuple(events)))
        return revision

    def bind(self, account: str, instance: str, logical: str, physical: str, **told: Any) -> int:
        record = a_record(account, logical, physical, AddressState.BOUND, instance=instance, **told)
        entry = InstanceEntry(
            state=InstanceState.BOUND,
            attempt=0,
            since_ms=1,
            addresses=(logical,),
            outcomes=(Outcome.DYNAMIC,),
            request=told.get("request", ""),
        )
        return self.put(*held(account, logical, record), (instance_key(account, instance), entry))

    def reserve(self, account: str, logical: str, physical: str, **told: Any) -> int:
        return self.put(
            *held(account, logical, a_record(account, logical, physical, AddressState.RESERVED, **told))
        )

    def cool(self, account: str, logical: str, physical: str, **told: Any) -> int:
        record = a_record(account, logical, physical, AddressState.COOLING, **told)
        return self.put((record_key(account, logical), record))

    def free(self, account: str, logical: str, physical: str) -> int:
        writes = [record_key(account, logical), physical_key(physical)]
        writes += [pool_address_key("net", logical)] if logical in LOGICALS["net"] else []
        return self.put(*((key, None) for key in writes))


def host_of(physical: str) -> str:
    return next(host for host, physicals in PHYSICALS.items() if physical in physicals)


def a_record(account: str, logical: str, physical: str, state: AddressState, **told: Any) -> Record:
    is_shared = logical in LOGICALS["net"]
    return Record(
        state=state,
        physical=physical,
        host=host_of(physical),
        pool="net" if is_shared else "own",
        since_ms=1,
        is_shared=is_shared,
        **told,
    )


def held(account: str, logical: str, record: Record) -> list[tuple[str, Value]]:
    hold = PhysicalHold(state=HoldState.HELD, account=account, logical=logical, host=record.host, since_ms=1)
    writes: list[tuple[str, Value]] = [
        (record_key(account, logical), record),
        (physical_key(record.physical), hold),
    ]
    if record.is_shared:
        writes.append((pool_address_key("net", logical), PoolAddress(account=account)))
    return writes


def create(request: str, begun: int, until: int, **told: Any) -> Operation:
    fields: dict[str, Any] = {"account": "bulk", "outcome": "ok", **told}
    return Operation(
        process="a",
        request=request,
        call="create",
        instance="i1",
        attempt=0,
        begun_ns=begun,
        ended_ns=until,
        **fields,
    )


def states_of(story: Story, operations: list[Operation] | None = None, **how: Any) -> States:
    asked = operations or []
    fields: dict[str, Any] = {"after": {each.request: story.founded for each in asked}, **how}
    times = fields.pop("times", Times([], [], {}))
    return States(story.changes, asked, times=times, founded=len(ACCOUNTS) + story.founded, **fields)


def rules_of(story: Story, operations: list[Operation] | None = None, **how: Any) -> set[str]:
    return {each.rule for each in states_of(story, operations, **how).check()}


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_life_from_free_to_free_is_sound(story: Story) -> None:
    story.reserve("gold", "10.0.0.1", "192.0.2.1")
    story.bind("silver", "i1", "10.1.0.1", "192.0.2.2")
    story.cool("gold", "10.0.0.1", "192.0.2.1")
    story.free("gold", "10.0.0.1", "192.0.2.1")
    assert rules_of(story) == set()


def test_a_physical_address_with_two_owners_is_found(story: Story) -> None:
    story.bind("gold", "i1", "10.0.0.1", "192.0.2.1")
    story.bind("tiny", "i1", "10.0.0.1", "192.0.2.1")
    assert rules_of(story) == {"one owner"}


def test_an_address_of_a_shared_pool_with_two_owners_is_found(story: Story) -> None:
    story.bind("silver", "i1", "10.1.0.1", "192.0.2.1")
    story.bind("bulk", "i1", "10.1.0.1", "192.0.2.2")
    assert "shared" in rules_of(story)


def test_a_logical_address_that_is_bound_twice_is_found(story: Story) -> None:
    story.bind("gold", "i1", "10.0.0.1", "192.0.2.1")
    story.bind("gold", "i2", "10.0.0.1", "192.0.2.1")
    assert rules_of(story) == {"binding"}


def test_an_address_that_is_taken_from_its_instance_is_found(story: Story) -> None:
    story.bind("gold", "i1", "10.0.0.1", "192.0.2.1")
    story.cool("gold", "10.0.0.1", "192.0.2.1")
    assert rules_of(story) == {"bindings"}


def test_an_address_that_is_free_without_having_cooled_is_found(story: Story) -> None:
    story.reserve("gold", "10.0.0.1", "192.0.2.1")
    story.free("gold", "10.0.0.1", "192.0.2.1")
    assert rules_of(story) == {"no leak"}


def test_a_physical_address_that_stays_held_is_found(story: Story) -> None:
    story.reserve("gold", "10.0.0.1", "192.0.2.1")
    story.cool("gold", "10.0.0.1", "192.0.2.1")
    story.put((record_key("gold", "10.0.0.1"), None))
    assert rules_of(story) == {"no leak"}


def test_a_host_with_bindings_that_does_not_mirror_the_account_is_found(story: Story) -> None:
    story.bind("gold", "i1", "10.0.0.1", "192.0.2.1")
    story.put((subscription_key("h1", "gold"), None))
    assert rules_of(story) == {"subscription"}


def refused(**told: Any) -> Operation:
    return create("c1", 10, 20, outcome="Exhausted", host="h1", **told)


def test_a_create_that_is_refused_while_there_is_room_is_found(story: Story) -> None:
    story.bind("silver", "i1", "10.1.0.1", "192.0.2.2")
    assert rules_of(story, [refused()]) == {"refused too soon"}


def test_a_create_may_be_refused_once_every_address_is_bound(story: Story) -> None:
    for number in range(16):
        story.bind("silver", f"i{number}", f"10.1.0.{number}", f"192.0.2.{number}")
    assert rules_of(story, [refused()]) == set()


def test_an_idle_address_that_is_taken_back_without_need_is_found(story: Story) -> None:
    story.reserve("silver", "10.1.0.1", "192.0.2.1")
    story.cool("silver", "10.1.0.1", "192.0.2.1", request="c1")
    assert rules_of(story, [create("c1", 10, 20)]) == {"taken back too soon"}


def test_an_idle_address_of_a_higher_tier_that_goes_first_is_found(story: Story) -> None:
    for number in range(2, 16):
        story.bind("silver", f"i{number}", f"10.1.0.{number}", f"192.0.2.{number}")
    story.reserve("silver", "10.1.0.0", "192.0.2.0")
    story.reserve("bulk", "10.1.0.1", "192.0.2.1")
    before = len(story.changes)
    asked = [create("c1", 10, 20, account="gold", host="h1")]
    story.cool("silver", "10.1.0.0", "192.0.2.0", request="c1")
    assert rules_of(story, asked, after={"c1": before}) == {LOWEST_FIRST}


def test_an_idle_address_of_the_lowest_tier_may_go(story: Story) -> None:
    for number in range(2, 16):
        story.bind("silver", f"i{number}", f"10.1.0.{number}", f"192.0.2.{number}")
    story.reserve("silver", "10.1.0.0", "192.0.2.0")
    story.reserve("bulk", "10.1.0.1", "192.0.2.1")
    before = len(story.changes)
    asked = [create("c1", 10, 20, account="gold", host="h1")]
    story.cool("bulk", "10.1.0.1", "192.0.2.1", request="c1")
    assert rules_of(story, asked, after={"c1": before}) == set()


def mapped(at_s: float, account: str, logical: str, physical: str) -> Mapped:
    at_ns = int(at_s * SECOND)
    return Mapped(at_ns=at_ns, host="h1", vni=ACCOUNTS[account].vni, logical=logical, physical=physical)


NEW_OWNER = Owned(9, ("tiny", "10.0.0.5"), "192.0.2.1", is_new=True)


def times_of_new_owner() -> Times:
    """Revision 9 was asked for at 5 s and answered at 6 s."""
    operation = create("c1", 5 * SECOND, 6 * SECOND, is_change=True)
    return Times([], [operation], {"c1": 9})


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        ([mapped(1, "gold", "10.0.0.1", "192.0.2.1")], True),
        ([mapped(1, "gold", "10.0.0.1", "192.0.2.1"), mapped(2, "gold", "10.0.0.1", "")], False),
        ([mapped(1, "gold", "10.0.0.1", "192.0.2.1"), mapped(7, "gold", "10.0.0.1", "")], True),
        ([mapped(5.5, "tiny", "10.0.0.5", "192.0.2.1")], False),
        ([mapped(1, "tiny", "10.0.0.5", "192.0.2.7")], True),
        ([mapped(1, "gold", "10.0.0.1", "192.0.2.1"), Mapped(at_ns=2, host="h1", vni=101)], False),
    ],
    ids=["stays", "goes", "goes too late", "its own", "its former place", "account goes"],
)
def test_a_host_that_delivers_to_a_stranger_is_found(lines: list[Mapped], is_found: bool) -> None:
    if len(lines) == 2 and not lines[1].logical:
        lines = [lines[0], replace(lines[1], at_ns=2 * SECOND)]
    found = {each.rule for each in check_strangers(lines, [NEW_OWNER], times_of_new_owner())}
    assert found == ({STRANGER} if is_found else set())


def test_revisions_are_timed_by_whoever_saw_them() -> None:
    seen = Seen(at_ns=4, revision=7, events=(Put("k", "v", 7, 7),))
    times = Times(
        [seen], [create("c1", 5, 6, is_change=True), create("c2", 8, 9, is_change=True)], {"c1": 8, "c2": 9}
    )
    assert [times.there_ns(revision) for revision in (6, 7, 8, 9, 10)] == [4, 4, 6, 9, None]
    assert [times.not_before_ns(revision) for revision in (7, 8, 9)] == [0, 5, 8]
    assert [times.last_before(at_ns) for at_ns in (4, 5, 7)] == [7, 8, 8]


def test_an_older_entry_over_a_newer_one_is_found() -> None:
    history = {("gold", "10.0.0.1"): ["192.0.2.1", None, "192.0.2.2"]}
    first, second = (mapped(at, "gold", "10.0.0.1", f"192.0.2.{at}") for at in (1, 2))
    assert list(check_order([first, second], history)) == []
    back = replace(first, at_ns=3 * SECOND)
    assert {each.rule for each in check_order([first, second, back], history)} == {OLDER}
    assert {each.rule for each in check_order([mapped(1, "gold", "10.0.0.1", "192.0.2.9")], history)} == {OLDER}


def test_a_table_that_is_not_what_the_store_says_is_found(story: Story) -> None:
    story.bind("gold", "i1", "10.0.0.1", "192.0.2.1")
    ledger = Ledger()
    for change in story.changes:
        ledger.apply(change)
    good = {host: {"101": {"10.0.0.1": "192.0.2.1"}} for host in HOSTS}
    assert list(check_end(ledger, good)) == []
    assert unsettled(ledger, good) == ""
    bads: list[dict[str, dict[str, str]]] = [
        {"101": {}},
        {"101": {"10.0.0.1": "192.0.2.9"}},
        {**good["h1"], "102": {"10.1.0.1": "192.0.2.2"}},
    ]
    for bad in bads:
        assert {each.rule for each in check_end(ledger, {**good, "h2": bad})} == {CONVERGE}
        assert unsettled(ledger, {**good, "h2": bad})


def test_a_plan_that_serves_a_lower_tier_first_is_found() -> None:
    def plan(short: int, granted: int) -> Planned:
        rows = (("silver", 1, 4, 4 - short, short), ("bulk", 2, 4, granted, 4 - granted))
        return Planned(at_ns=1, revision=1, rows=rows)

    assert list(check_plans([plan(0, 2), plan(2, 0)])) == []
    assert {each.rule for each in check_plans([plan(2, 1)])} == {DISPLACED}
