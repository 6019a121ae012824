"""Declaring resources: checked against what stands, written once, never over another's change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.runtime.site import HOST, POOL, RESOURCES, CountingStore, ledger_of

from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Conflict, Invalid, OutcomeUnknown, Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import EPOCH, tier_key
from addrcast.core.domain.record import EpochState, HoldState, Host, HostState, PhysicalHold, StoreEpoch, Value
from addrcast.core.domain.resource import DEFAULT_TIERS, Account, Declared, Pool, PoolKind, Tier
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.declare import declare, set_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Result
    from addrcast.runtime.declare import Resource
    from addrcast.simulation.store import MemoryStore


@pytest.fixture
async def store() -> CountingStore:
    made = CountingStore()
    await set_up(made)
    return made


async def put(store: MemoryStore, key: str, value: Value) -> None:
    await store.commit([Transaction((), (Put(key, encode(value)),))])


async def test_a_new_store_gets_an_epoch_and_the_default_tiers(store: CountingStore) -> None:
    ledger = await ledger_of(store)
    assert ledger.epoch.required == StoreEpoch(epoch=1)
    assert ledger.tiers() == DEFAULT_TIERS


async def test_setting_up_again_changes_nothing_that_was_changed_since(store: CountingStore) -> None:
    frozen, dear = StoreEpoch(epoch=7, state=EpochState.FROZEN), replace(DEFAULT_TIERS["basic"], weight=9.0)
    await put(store, EPOCH, frozen)
    await put(store, tier_key("basic"), dear)
    before = (await ledger_of(store)).revision
    await set_up(store)
    ledger = await ledger_of(store)
    assert (ledger.epoch.required, ledger.tiers()["basic"], ledger.revision) == (frozen, dear, before)


async def test_a_store_that_has_an_epoch_gets_no_tiers() -> None:
    filled = CountingStore()
    await put(filled, EPOCH, StoreEpoch(v=1, epoch=7, state=EpochState.FROZEN))
    await set_up(filled)
    assert [item.key for item in (await filled.scan("")).items] == [EPOCH]


async def test_resources_may_build_on_those_declared_before_them_in_the_same_call(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    ledger = await ledger_of(store)
    assert sorted(ledger.accounts()) == ["bulk", "gold", "new"]
    assert ledger.host("h1").required == HOST
    assert ledger.pool("net").required == POOL
    assert violations(ledger) == []


async def test_what_stands_as_it_is_declared_is_not_written_again(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    store.committed.clear()
    wider = replace(POOL, prefixes=("10.0.0.0/23",))
    await declare(store, [*RESOURCES, ("net", wider)])
    assert [write.key for each in store.committed for write in each.writes] == ["pool.net", "declared"]


async def test_a_host_that_is_declared_again_keeps_its_state_and_incarnation(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    declared = Host(state=HostState.REJOINING, incarnation=0, blocks=("172.16.0.0/23", "172.16.2.0/24"))
    await declare(store, [("h1", declared)])
    assert (await ledger_of(store)).host("h1").required == replace(HOST, blocks=declared.blocks)


async def test_a_host_is_declared_to_drain_and_to_take_use_again(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    await declare(store, [("h1", replace(HOST, is_draining=True))])
    assert not (await ledger_of(store)).host("h1").required.takes_use
    await declare(store, [("h1", HOST)])
    assert (await ledger_of(store)).host("h1").required.takes_use


async def test_a_host_is_not_changed_before_a_restored_store_has_heard_it(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    await put(store, EPOCH, StoreEpoch(epoch=2, state=EpochState.CLOSED))
    await declare(store, RESOURCES)
    with pytest.raises(Unavailable, match="host h1: the store is not open yet"):
        await declare(store, [("h1", replace(HOST, is_draining=True))])


@pytest.mark.parametrize(
    ("name", "resource", "field"),
    [
        ("gold", replace(DEFAULT_TIERS["premium"], service_level=1.0), "service_level"),
        ("no.dot", POOL, "pool"),
        ("other", Pool(kind=PoolKind.PHYSICAL, prefixes=("172.16.1.0/24",)), "prefixes"),
        ("h2", replace(HOST, blocks=("192.168.0.0/24",)), "blocks"),
        ("h2", replace(HOST, blocks=("172.16.1.0/24",)), "blocks"),
        ("late", Account(tier="gold", vni=9, pools=("net",)), "tier"),
        ("late", Account(tier="basic", vni=9, pools=("nowhere",)), "pools"),
        ("late", Account(tier="basic", vni=1, pools=("net",)), "vni"),
    ],
)
async def test_a_resource_that_breaks_a_rule_is_refused_and_not_written(
    store: CountingStore, name: str, resource: Resource, field: str
) -> None:
    await declare(store, RESOURCES)
    before = await ledger_of(store)
    with pytest.raises(Invalid) as fault:
        await declare(store, [(name, resource)])
    assert fault.value.field == field
    assert (await ledger_of(store)).revision == before.revision


async def test_those_before_one_that_is_refused_are_written(store: CountingStore) -> None:
    with pytest.raises(Invalid):
        await declare(store, [("net", POOL), ("a", Account(tier="none", vni=1, pools=("net",)))])
    assert list((await ledger_of(store)).pools()) == ["net"]


async def test_a_store_without_an_epoch_has_to_be_set_up_first() -> None:
    empty = CountingStore()
    with pytest.raises(Invalid, match="set it up first"):
        await declare(empty, RESOURCES)
    assert empty.committed == []


class RacedStore(CountingStore):
    """Others write just before the next commits, one of `rivals` before each; the next `lost` answers are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.rivals: list[dict[str, Value]] = []
        self.lost = 0
        self.is_deaf = False

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        if self.rivals:
            puts = [Put(key, encode(value)) for key, value in self.rivals.pop(0).items()]
            await super().commit([Transaction((), (each,)) for each in puts])
        results = [] if self.is_deaf else await super().commit(transactions)
        if self.lost:
            self.lost -= 1
            raise OutcomeUnknown("no answer", retry_after_ms=1)
        return results


@pytest.fixture
async def raced() -> RacedStore:
    made = RacedStore()
    await set_up(made)
    return made


async def test_a_resource_that_another_process_changed_meanwhile_is_not_written_over(raced: RacedStore) -> None:
    rival = replace(POOL, prefixes=("10.9.0.0/24",))
    raced.rivals = [{"pool.net": rival}]
    with pytest.raises(Conflict, match=r"pool\.net"):
        await declare(raced, RESOURCES)
    assert (await ledger_of(raced)).pool("net").required == rival


async def test_what_loses_a_race_with_another_declaration_is_judged_anew(raced: RacedStore) -> None:
    await declare(raced, RESOURCES)
    raced.rivals = [{"account.rival": Account(tier="basic", vni=9, pools=("net",)), "declared": Declared(count=9)}]
    with pytest.raises(Invalid, match="account rival has it"):
        await declare(raced, [("late", Account(tier="basic", vni=9, pools=("net",)))])
    raced.rivals = [{"declared": Declared(count=11)}, {"declared": Declared(count=12)}]
    await declare(raced, [("late", Account(tier="basic", vni=10, pools=("net",)))])
    assert (await ledger_of(raced)).declared.required.count == 13


async def test_a_host_that_changes_its_state_meanwhile_is_declared_all_the_same(raced: RacedStore) -> None:
    await declare(raced, RESOURCES)
    raced.rivals = [{"host.h1": replace(HOST, state=HostState.LOST, incarnation=4)}]
    await declare(raced, [("h1", replace(HOST, is_draining=True))])
    host = (await ledger_of(raced)).host("h1").required
    assert (host.state, host.incarnation, host.is_draining) == (HostState.LOST, 4, True)


async def test_who_loses_every_race_is_told_so(raced: RacedStore) -> None:
    raced.rivals = [{"declared": Declared(count=number)} for number in range(100)]
    with pytest.raises(Conflict, match="others declare without a pause"):
        await declare(raced, RESOURCES)


async def test_after_a_lost_reply_what_was_written_is_left_alone(raced: RacedStore) -> None:
    raced.lost = 1
    await declare(raced, RESOURCES)
    assert len((await ledger_of(raced)).accounts()) == 3
    raced.lost, raced.is_deaf = 100, True
    with pytest.raises(Conflict, match="no answer came"):
        await declare(
            raced, [("net", replace(POOL, prefixes=("10.0.0.0/23",))), ("h1", replace(HOST, is_draining=True))]
        )


async def test_many_resources_are_written_in_few_transactions(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    store.committed.clear()
    more = [(f"c{number}", Account(tier="basic", vni=100 + number, pools=("net",))) for number in range(100)]
    await declare(store, more)
    assert len(store.committed) == 4
    assert violations(await ledger_of(store)) == []


async def test_a_pool_drains_and_loses_a_prefix_in_one_call_where_nothing_of_it_is_in_use(
    store: CountingStore,
) -> None:
    wide = replace(POOL, prefixes=("10.0.0.0/24", "10.0.1.0/24"))
    draining = replace(wide, draining=("10.0.1.0/24",))
    await declare(store, [("net", wide), ("net", draining), ("net", POOL)])
    assert (await ledger_of(store)).pool("net").required == POOL


async def test_a_block_moves_from_one_host_to_another_in_one_call(store: CountingStore) -> None:
    await declare(store, RESOURCES)
    left, gained = replace(HOST, blocks=("172.16.0.0/24",)), replace(HOST, blocks=("172.16.1.0/24",))
    await declare(store, [*RESOURCES, ("h1", left), ("h2", gained), ("h1", left)])
    ledger = await ledger_of(store)
    assert [ledger.host(name).required.blocks for name in ("h1", "h2")] == [left.blocks, gained.blocks]


async def test_a_block_in_which_an_address_is_taken_just_before_it_is_lost_stays_with_its_host(
    raced: RacedStore,
) -> None:
    await declare(raced, RESOURCES)
    hold = PhysicalHold(state=HoldState.HELD, account="bulk", logical="10.0.0.1", host="h1", since_ms=1)
    raced.rivals = [{"physical_address.172.16.1.7": hold}]
    moves = [("h1", replace(HOST, blocks=("172.16.0.0/24",))), ("h2", replace(HOST, blocks=("172.16.1.0/24",)))]
    with pytest.raises(Invalid, match="1 addresses of it are in use, of bulk 1"):
        await declare(raced, moves)
    ledger = await ledger_of(raced)
    assert ledger.host("h1").required.blocks == HOST.blocks
    assert not ledger.host("h2")


async def test_a_tier_may_be_declared_and_used(store: CountingStore) -> None:
    tier: Tier = replace(DEFAULT_TIERS["premium"], rank=1)
    await declare(store, [*RESOURCES, ("silver", tier), ("late", Account(tier="silver", vni=9, pools=("net",)))])
    assert (await ledger_of(store)).tier_of("late") == tier
