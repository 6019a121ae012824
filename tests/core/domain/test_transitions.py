"""The table of transactions, row by row: what each compares, and what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import (
    Acknowledgement,
    AddressState,
    Entry,
    HoldState,
    Host,
    HostState,
    InstanceEntry,
    InstanceState,
    Outcome,
    PhysicalHold,
    Record,
    StoreEpoch,
    Subscription,
    Value,
)
from addrcast.core.domain.resource import Account, Pool, PoolKind
from addrcast.core.domain.transaction import Compare, Put
from addrcast.core.domain.transitions import (
    Draft,
    FreeAddress,
    age_out,
    delete_before_create,
    end_of_cooling,
    end_of_hold,
    end_of_old_physical,
    end_of_tombstone,
    preempt,
    release,
    reserve,
)
from addrcast.core.domain.transitions_create import (
    Claim,
    Move,
    Step,
    bind,
    create,
    dynamic,
    early_return,
    rebind,
    repeat,
)
from addrcast.core.domain.transitions_host import (
    acknowledge,
    host_lost,
    host_rejoins,
    host_up,
    idle,
    leave,
    subscribe,
    unsubscribe,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 5_000
LATER = 9_000
LOGICAL = "10.0.0.5"
R = keyspace.record_key("acme", LOGICAL)
FENCE = Compare(keyspace.election_key("controller"), 77)
CLAIM = Claim("acme", "i-1", 3, NOW, "req-9")

EPOCH = Entry(keyspace.EPOCH, StoreEpoch(epoch=4), 2, 2)
POOL = Entry(keyspace.pool_key("p"), Pool(kind=PoolKind.LOGICAL, prefixes=("10.0.0.0/16",)), 3, 3)
HOST = Entry(keyspace.host_key("h2"), Host(state=HostState.UP, incarnation=6, blocks=("192.0.2.0/28",)), 4, 4)
NEW_HOLD: Entry[PhysicalHold] = Entry(keyspace.physical_key("192.0.2.9"))
OLD_HOLD = Entry(
    keyspace.physical_key("192.0.2.77"),
    PhysicalHold(state=HoldState.HELD, account="acme", logical=LOGICAL, host="h1", since_ms=LATER),
    11,
    11,
)
NO_INSTANCE: Entry[InstanceEntry] = Entry(keyspace.instance_key("acme", "i-1"))
STONE = Entry(NO_INSTANCE.key, InstanceEntry(state=InstanceState.TOMBSTONE, attempt=2, since_ms=LATER), 20, 9)
BOUND_I = Entry(
    NO_INSTANCE.key,
    InstanceEntry(state=InstanceState.BOUND, attempt=2, since_ms=100, addresses=(LOGICAL,)),
    21,
    9,
)
ACCOUNT = Entry(keyspace.account_key("acme"), Account(tier="basic", vni=7, pools=("p",)), 5, 5)
FREE = FreeAddress(Entry(R), NEW_HOLD, POOL, HOST, ACCOUNT)
SHARED = FreeAddress(Entry(R), NEW_HOLD, POOL, HOST, ACCOUNT, Entry(keyspace.pool_address_key("p", LOGICAL)))
MOVE = Move(OLD_HOLD, NEW_HOLD, HOST)
SUBSCRIBED = Entry(keyspace.subscription_key("h2", "acme"), Subscription(), 30, 30)
IDLE = Entry(SUBSCRIBED.key, Subscription(is_idle=True), 31, 30)
LEAVING = Entry(SUBSCRIBED.key, Subscription(is_leaving=True), 31, 30)
NO_ACK: Entry[Acknowledgement] = Entry(keyspace.acknowledgement_key("h2", "acme"))


def record(
    state: AddressState, *, placed_revision: int = 0, since_ms: int = 100, is_shared: bool = False
) -> Entry[Record]:
    value = Record(
        state=state,
        physical="192.0.2.77",
        host="h1",
        pool="p",
        since_ms=since_ms,
        instance="i-0",
        placed_revision=placed_revision,
        is_shared=is_shared,
    )
    return Entry(R, value, 12, 10)


RESERVED = record(AddressState.RESERVED)
PRESERVED = record(AddressState.PRESERVED)
BOUND = record(AddressState.BOUND)
COOLING = record(AddressState.COOLING)

SIGNS = {
    keyspace.EPOCH: "E",
    keyspace.RECORDS: "R",
    keyspace.PHYSICALS: "P",
    keyspace.INSTANCES: "I",
    keyspace.POOL_ADDRESSES: "Q",
    keyspace.HOSTS: "H",
    keyspace.HOSTS_ALIVE: "host_alive",
    keyspace.SUBSCRIPTIONS: "S",
    keyspace.ACKNOWLEDGEMENTS: "A",
    keyspace.POOLS: "pool",
    keyspace.ACCOUNTS: "account",
    keyspace.ELECTIONS: "fence",
}


def sign(key: str) -> str:
    """The table's letter of a key; P of the physical address a record leaves is P(old)."""
    return "P(old)" if key == OLD_HOLD.key else SIGNS[keyspace.parts_of(key).kind]


def word(value: Value) -> str:
    if isinstance(value, Record | PhysicalHold | InstanceEntry | Host):
        return f" {value.state.value}"
    return ""


def compared(draft: Draft) -> str:
    compares = draft.transaction().compares
    return " ".join(f"{sign(compare.key)}={'m' if compare.revision else '0'}" for compare in compares)


def written(draft: Draft) -> str:
    shown = []
    for write in draft.transaction().writes:
        if isinstance(write, Put):
            shown.append(sign(write.key) + word(decode(write.key, write.value)))
        else:
            shown.append(f"delete {sign(write.key)}")
    return ", ".join(shown)


def created(step: Step, instance: Entry[InstanceEntry] = NO_INSTANCE) -> Draft:
    return create(EPOCH, instance, CLAIM, [step], subscription=SUBSCRIBED)


SHADOW, REBOUND, FORMER = Outcome.SHADOW, Outcome.REBOUND, Outcome.PRESERVED

ROWS: list[tuple[str, Draft, str, str]] = [
    (
        "reserve",
        reserve(EPOCH, FREE, SUBSCRIBED, fence=FENCE, now_ms=NOW),
        "E=m R=0 P=0 pool=m H=m account=m S=m fence=m",
        "R reserved, P held",
    ),
    (
        "reserve in a shared pool",
        reserve(EPOCH, SHARED, SUBSCRIBED, fence=FENCE, now_ms=NOW),
        "E=m R=0 P=0 Q=0 pool=m H=m account=m S=m fence=m",
        "R reserved, P held, Q",
    ),
    ("bind a reserved", created(bind(RESERVED, CLAIM, SHADOW)), "E=m I=0 R=m", "I bound, R bound"),
    (
        "bind a preserved after an older tombstone",
        created(bind(PRESERVED, CLAIM, FORMER), STONE),
        "E=m I=m R=m",
        "I bound, R bound",
    ),
    (
        "rebind",
        created(rebind(RESERVED, MOVE, CLAIM, REBOUND)),
        "E=m I=0 R=m P=0 H=m S=m",
        "I bound, R bound, P held, P(old) cooling",
    ),
    (
        "dynamic",
        created(dynamic(FREE, CLAIM)),
        "E=m I=0 R=0 P=0 pool=m H=m account=m S=m",
        "I bound, R bound, P held",
    ),
    (
        "dynamic in a shared pool",
        created(dynamic(SHARED, CLAIM)),
        "E=m I=0 R=0 P=0 Q=0 pool=m H=m account=m S=m",
        "I bound, R bound, P held, Q",
    ),
    (
        "repeat with a higher attempt",
        created(repeat(BOUND, CLAIM, SHADOW), BOUND_I),
        "E=m I=m R=m",
        "I bound, R bound",
    ),
    (
        "repeat with a higher attempt on another host",
        created(rebind(BOUND, MOVE, CLAIM, REBOUND), BOUND_I),
        "E=m I=m R=m P=0 H=m S=m",
        "I bound, R bound, P held, P(old) cooling",
    ),
    (
        "release",
        release(EPOCH, BOUND_I, [BOUND], attempt=2, now_ms=NOW),
        "E=m I=m R=m",
        "R preserved, I tombstone",
    ),
    (
        "delete before create",
        delete_before_create(EPOCH, NO_INSTANCE, attempt=0, now_ms=NOW),
        "E=m I=0",
        "I tombstone",
    ),
    (
        "delete before create, older tombstone",
        delete_before_create(EPOCH, STONE, attempt=3, now_ms=NOW),
        "E=m I=m",
        "I tombstone",
    ),
    ("age-out", age_out(EPOCH, RESERVED, fence=FENCE, now_ms=NOW), "E=m R=m fence=m", "R cooling"),
    ("end of hold", end_of_hold(EPOCH, PRESERVED, fence=FENCE, now_ms=NOW), "E=m R=m fence=m", "R cooling"),
    ("preempt", preempt(EPOCH, RESERVED, now_ms=NOW), "E=m R=m", "R cooling"),
    (
        "early return to the same account",
        created(early_return(COOLING, CLAIM, SHADOW)),
        "E=m I=0 R=m S=m",
        "I bound, R bound",
    ),
    (
        "early return on another host",
        created(early_return(COOLING, CLAIM, REBOUND, MOVE)),
        "E=m I=0 R=m P=0 H=m S=m",
        "I bound, R bound, P held, P(old) cooling",
    ),
    ("end of cooling", end_of_cooling(EPOCH, COOLING), "E=m R=m", "delete R, delete P(old)"),
    (
        "end of cooling in a shared pool",
        end_of_cooling(EPOCH, record(AddressState.COOLING, is_shared=True)),
        "E=m R=m",
        "delete R, delete P(old), delete Q",
    ),
    (
        "end of an old physical's cooling",
        end_of_old_physical(EPOCH, created(rebind(RESERVED, MOVE, CLAIM, REBOUND)).entries_at(40)[3]),
        "E=m P(old)=m",
        "delete P(old)",
    ),
    ("end of a tombstone", end_of_tombstone(EPOCH, STONE), "E=m I=m", "delete I"),
    ("host lost", host_lost(EPOCH, HOST, fence=FENCE), "E=m H=m host_alive=0 fence=m", "H lost"),
    ("host rejoins", host_rejoins(EPOCH, HOST), "E=m H=m", "H rejoining"),
    ("host up", host_up(EPOCH, host_rejoins(EPOCH, HOST).entries_at(40)[0]), "E=m H=m", "H up"),
    ("acknowledge", acknowledge(EPOCH, HOST, SUBSCRIBED, NO_ACK, revision=39), "E=m H=m S=m", "A"),
    ("subscribe", subscribe(EPOCH, Entry(SUBSCRIBED.key)), "E=m S=0", "S"),
    ("subscribe an idle host", subscribe(EPOCH, IDLE), "E=m S=m", "S"),
    ("subscribe a host that was leaving", subscribe(EPOCH, LEAVING), "E=m S=m", "S, delete A"),
    ("idle", idle(EPOCH, SUBSCRIBED), "E=m S=m", "S"),
    ("leave", leave(EPOCH, IDLE), "E=m S=m", "S"),
    ("unsubscribe", unsubscribe(EPOCH, LEAVING, NO_ACK), "E=m S=m", "delete S, delete A"),
]


@pytest.mark.parametrize(("draft", "compares", "writes"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_transition_compares_and_writes_what_the_table_says(draft: Draft, compares: str, writes: str) -> None:
    assert compared(draft) == compares
    assert written(draft) == writes


@pytest.mark.parametrize("draft", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_a_draft_leaves_behind_is_what_a_store_would_hold(draft: Draft) -> None:
    transaction = draft.transaction()
    after = {entry.key: entry for entry in draft.entries_at(50)}
    created_before = {entry.key: entry.created for entry, _ in draft.writes}
    assert list(after) == [write.key for write in transaction.writes]
    for write in transaction.writes:
        entry = after[write.key]
        if isinstance(write, Put):
            assert decode(write.key, write.value) == entry.value
            assert (entry.revision, entry.created) == (50, created_before[write.key] or 50)
        else:
            assert (entry.value, entry.revision, entry.created) == (None, 0, 0)


def value_of(draft: Draft, key: str) -> Any:
    return next(value for entry, value in draft.writes if entry.key == key)


STAY = [
    created(bind(RESERVED, CLAIM, SHADOW)),
    created(repeat(BOUND, CLAIM, SHADOW), BOUND_I),
    release(EPOCH, BOUND_I, [BOUND], attempt=2, now_ms=NOW),
    preempt(EPOCH, RESERVED, now_ms=NOW),
]
STAY_AGAIN = [
    created(bind(record(AddressState.PRESERVED, placed_revision=7), CLAIM, FORMER)),
    created(repeat(record(AddressState.BOUND, placed_revision=7), CLAIM, SHADOW), BOUND_I),
    release(EPOCH, BOUND_I, [record(AddressState.BOUND, placed_revision=7)], attempt=2, now_ms=NOW),
    preempt(EPOCH, record(AddressState.RESERVED, placed_revision=7), now_ms=NOW),
]
PLACE = [
    reserve(EPOCH, FREE, SUBSCRIBED, fence=FENCE, now_ms=NOW),
    created(dynamic(FREE, CLAIM)),
    created(rebind(RESERVED, MOVE, CLAIM, REBOUND)),
    created(early_return(COOLING, CLAIM, SHADOW)),
    created(early_return(COOLING, CLAIM, REBOUND, MOVE)),
]


def test_a_record_that_stays_keeps_the_revision_of_its_placement() -> None:
    assert [value_of(draft, R).placed_revision for draft in STAY] == [12] * 4
    assert [value_of(draft, R).placed_revision for draft in STAY_AGAIN] == [7] * 4


def test_a_record_that_moves_or_comes_back_to_the_tables_is_placed_by_that_write() -> None:
    assert [value_of(draft, R).placed_revision for draft in PLACE] == [0] * 5


def test_a_move_changes_place_and_nothing_else() -> None:
    moved = value_of(created(rebind(PRESERVED, MOVE, CLAIM, FORMER)), R)
    assert (moved.physical, moved.host, moved.pool) == ("192.0.2.9", "h2", "p")
    assert (moved.instance, moved.attempt, moved.request, moved.was_bound) == ("i-1", 3, "req-9", True)


def test_a_move_names_the_pair_and_the_host_at_both_physical_addresses() -> None:
    draft = created(rebind(RESERVED, MOVE, CLAIM, REBOUND))
    held, left = value_of(draft, NEW_HOLD.key), value_of(draft, OLD_HOLD.key)
    assert (held.account, held.logical, held.host) == ("acme", LOGICAL, "h2")
    assert (left.account, left.logical, left.host) == ("acme", LOGICAL, "h1")


def test_a_move_needs_no_view_of_the_hold_it_leaves() -> None:
    unseen = Move(Entry(OLD_HOLD.key), NEW_HOLD, HOST)
    left = value_of(created(rebind(RESERVED, unseen, CLAIM, REBOUND)), OLD_HOLD.key)
    assert (left.state, left.logical, left.since_ms) == (HoldState.COOLING, LOGICAL, NOW)


def test_a_stamp_never_falls_below_the_one_it_replaces() -> None:
    ahead = record(AddressState.RESERVED, since_ms=LATER)
    assert value_of(created(bind(ahead, CLAIM, SHADOW)), R).since_ms == LATER
    assert value_of(preempt(EPOCH, ahead, now_ms=NOW), R).since_ms == LATER
    assert value_of(created(bind(RESERVED, CLAIM, SHADOW), STONE), STONE.key).since_ms == LATER
    assert value_of(created(rebind(RESERVED, MOVE, CLAIM, REBOUND)), OLD_HOLD.key).since_ms == LATER
    assert value_of(delete_before_create(EPOCH, STONE, attempt=3, now_ms=NOW), STONE.key).since_ms == LATER
    assert value_of(preempt(EPOCH, RESERVED, now_ms=NOW), R).since_ms == NOW


def test_an_address_that_was_never_bound_says_so_while_it_cools() -> None:
    assert value_of(preempt(EPOCH, RESERVED, now_ms=NOW), R).was_bound is False
    preserved = release(EPOCH, BOUND_I, [BOUND], attempt=2, now_ms=NOW).entries_at(50)[0]
    assert value_of(end_of_hold(EPOCH, preserved, fence=FENCE, now_ms=NOW), R).was_bound is True


def test_a_tombstone_bears_the_higher_of_the_delete_and_the_bound_attempt() -> None:
    for attempt, borne in ((0, 2), (2, 2), (5, 5)):
        assert value_of(release(EPOCH, BOUND_I, [BOUND], attempt=attempt, now_ms=NOW), STONE.key).attempt == borne


def test_several_addresses_are_one_transaction_with_one_instance_key_and_no_compare_twice() -> None:
    other: Entry[Record] = Entry(keyspace.record_key("acme", "2001:db8::5"))
    second = FreeAddress(other, Entry(keyspace.physical_key("192.0.2.10")), POOL, HOST, ACCOUNT)
    draft = create(EPOCH, NO_INSTANCE, CLAIM, [dynamic(FREE, CLAIM), dynamic(second, CLAIM)])
    assert compared(draft) == "E=m I=0 R=0 P=0 pool=m H=m account=m R=0 P=0"
    assert written(draft) == "I bound, R bound, P held, R bound, P held"
    bound = value_of(draft, NO_INSTANCE.key)
    assert bound.addresses == (LOGICAL, "2001:db8::5")
    assert bound.outcomes == (Outcome.DYNAMIC, Outcome.DYNAMIC)


@pytest.mark.parametrize("subscription", [Entry(SUBSCRIBED.key), IDLE, LEAVING], ids=["absent", "idle", "leaving"])
def test_a_create_on_a_host_whose_subscription_does_not_stand_writes_it(
    subscription: Entry[Subscription],
) -> None:
    draft = create(EPOCH, NO_INSTANCE, CLAIM, [bind(RESERVED, CLAIM, SHADOW)], subscription=subscription)
    assert compared(draft) == f"E=m I=0 R=m S={'m' if subscription else '0'}"
    assert value_of(draft, SUBSCRIBED.key) == Subscription()


def test_lost_and_rejoining_void_what_the_host_acknowledged_before() -> None:
    rejoining = value_of(host_rejoins(EPOCH, HOST), HOST.key)
    up = value_of(host_up(EPOCH, Entry(HOST.key, rejoining, 40, 4)), HOST.key)
    assert value_of(host_lost(EPOCH, HOST, fence=FENCE), HOST.key).incarnation == 7
    assert (rejoining.incarnation, up.incarnation, up.blocks) == (7, 7, HOST.required.blocks)


def test_a_host_drains_through_all_its_states() -> None:
    draining = Entry(HOST.key, replace(HOST.required, is_draining=True), 40, 4)
    lost = host_lost(EPOCH, draining, fence=FENCE).entries_at(41)[0]
    rejoining = host_rejoins(EPOCH, lost).entries_at(42)[0]
    up = host_up(EPOCH, rejoining).entries_at(43)[0]
    states = [(host.required.state, host.required.is_draining) for host in (lost, rejoining, up)]
    assert states == [(HostState.LOST, True), (HostState.REJOINING, True), (HostState.UP, True)]
    assert not up.required.takes_use


def test_an_acknowledgement_names_epoch_revision_and_incarnation() -> None:
    applied = value_of(acknowledge(EPOCH, HOST, SUBSCRIBED, NO_ACK, revision=39), NO_ACK.key)
    assert (applied.epoch, applied.revision, applied.incarnation) == (4, 39, 6)


def test_a_transition_from_the_wrong_state_is_refused() -> None:
    refused: list[Callable[[], object]] = [
        lambda: bind(BOUND, CLAIM, SHADOW),
        lambda: bind(COOLING, CLAIM, SHADOW),
        lambda: repeat(RESERVED, CLAIM, SHADOW),
        lambda: rebind(COOLING, MOVE, CLAIM, REBOUND),
        lambda: early_return(RESERVED, CLAIM, SHADOW),
        lambda: age_out(EPOCH, PRESERVED, fence=FENCE, now_ms=NOW),
        lambda: end_of_hold(EPOCH, RESERVED, fence=FENCE, now_ms=NOW),
        lambda: preempt(EPOCH, BOUND, now_ms=NOW),
        lambda: release(EPOCH, BOUND_I, [PRESERVED], attempt=2, now_ms=NOW),
        lambda: end_of_cooling(EPOCH, PRESERVED),
        lambda: end_of_old_physical(EPOCH, OLD_HOLD),
        lambda: end_of_tombstone(EPOCH, BOUND_I),
        lambda: host_up(EPOCH, HOST),
        lambda: leave(EPOCH, SUBSCRIBED),
        lambda: unsubscribe(EPOCH, SUBSCRIBED, NO_ACK),
        lambda: reserve(EPOCH, FREE, Entry(SUBSCRIBED.key), fence=FENCE, now_ms=NOW),
        lambda: reserve(EPOCH, FREE, IDLE, fence=FENCE, now_ms=NOW),
    ]
    for transition in refused:
        with pytest.raises(Invalid):
            transition()
