"""What every kernel table must promise; each backend runs the same suite."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies
from tests.contracts.kernels import KernelKind, Opened, parameters

from addrcast.core.dataplane.reconcile import reconcile
from addrcast.core.dataplane.table import TableEntry, TableKey
from addrcast.core.domain.errors import Unavailable
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from addrcast.ports.kernel import Kernel

A = TableEntry(101, "10.0.0.2", "172.31.0.2")
B = TableEntry(101, "10.0.0.3", "172.31.0.3")
OTHER = TableEntry(102, "10.0.0.2", "172.31.1.2")
V6 = TableEntry(101, "fd00::2", "fd00:31::2")
V6_TO_V4 = TableEntry(101, "fd00::3", "172.31.0.4")


@pytest.fixture(params=parameters())
def kind(request: pytest.FixtureRequest) -> KernelKind:
    kind: KernelKind = request.param
    return kind


@pytest.fixture
async def opened(kind: KernelKind) -> AsyncIterator[Opened]:
    async with kind.open() as opened:
        yield opened


@pytest.fixture
def kernel(opened: Opened) -> Kernel:
    return opened.kernel


async def test_an_entry_is_there_once_it_is_written(kernel: Kernel) -> None:
    await kernel.ensure_account(101)
    assert await kernel.upsert([A, B, V6_TO_V4]) == ()
    assert await kernel.dump() == {101: {entry.logical: entry.physical for entry in (A, B, V6_TO_V4)}}


async def test_logical_and_physical_addresses_are_of_either_family(kind: KernelKind, kernel: Kernel) -> None:
    if not kind.takes_ipv6_physical:
        pytest.skip(f"{kind.name} takes no physical IPv6 addresses here")
    entries = (A, V6, V6_TO_V4, B._replace(physical="fd00:31::3"), A._replace(logical="10.0.0.4"))
    await kernel.ensure_account(101)
    assert await kernel.upsert(entries) == ()
    assert await kernel.dump() == {101: {entry.logical: entry.physical for entry in entries}}
    await kernel.upsert([A._replace(physical="fd00:31::9"), V6._replace(physical="172.31.0.9")])
    moved = {A.logical: "fd00:31::9", V6.logical: "172.31.0.9"}
    assert await kernel.dump() == {101: {entry.logical: entry.physical for entry in entries} | moved}
    assert await kernel.delete([entry.key for entry in entries]) == ()
    assert await kernel.dump() == {101: {}}


async def test_thousands_of_entries_are_written_moved_and_removed(kernel: Kernel) -> None:
    await kernel.ensure_account(101)
    before = {f"10.{i >> 8}.{i & 255}.7": f"172.{16 + (i >> 12)}.{i >> 4 & 255}.{i & 15}" for i in range(20_000)}
    after = {logical: physical.replace("172.", "100.", 1) for logical, physical in before.items()}
    assert await kernel.upsert([TableEntry(101, *entry) for entry in before.items()]) == ()
    assert await kernel.dump() == {101: before}
    assert await kernel.upsert([TableEntry(101, *entry) for entry in after.items()]) == ()
    assert await kernel.dump() == {101: after}
    assert await kernel.delete([TableKey(101, logical) for logical in before]) == ()
    assert await kernel.dump() == {101: {}}
    assert await kernel.delete([TableKey(101, logical) for logical in before]) == ()


async def test_an_upsert_replaces_what_its_key_had(kernel: Kernel) -> None:
    await kernel.ensure_account(101)
    await kernel.upsert([A])
    await kernel.upsert([A._replace(physical="172.31.0.9")])
    assert await kernel.dump() == {101: {A.logical: "172.31.0.9"}}


async def test_the_last_of_two_upserts_of_a_key_stands(kernel: Kernel) -> None:
    await kernel.ensure_account(101)
    await kernel.upsert([A, A._replace(physical="172.31.0.9")])
    assert await kernel.dump() == {101: {A.logical: "172.31.0.9"}}


async def test_accounts_with_the_same_addresses_are_apart(kernel: Kernel) -> None:
    for vni in (101, 102):
        await kernel.ensure_account(vni)
    await kernel.upsert([A, OTHER])
    await kernel.delete([A.key])
    assert await kernel.dump() == {101: {}, 102: {OTHER.logical: OTHER.physical}}


async def test_ensuring_an_account_twice_keeps_its_entries(kernel: Kernel) -> None:
    await kernel.ensure_account(101)
    await kernel.upsert([A])
    await kernel.ensure_account(101)
    assert await kernel.dump() == {101: {A.logical: A.physical}}


async def test_an_account_goes_with_all_of_its_entries(kernel: Kernel) -> None:
    for vni in (101, 102):
        await kernel.ensure_account(vni)
    await kernel.upsert([A, B, OTHER])
    await kernel.remove_account(101)
    assert await kernel.dump() == {102: {OTHER.logical: OTHER.physical}}


async def test_removing_what_is_not_there_is_no_error(kernel: Kernel) -> None:
    await kernel.remove_account(101)
    await kernel.ensure_account(102)
    assert await kernel.delete([A.key, OTHER.key]) == ()


async def test_an_account_that_was_not_ensured_has_its_entries_rejected_and_no_other(kernel: Kernel) -> None:
    await kernel.ensure_account(102)
    rejected = await kernel.upsert([A, OTHER])
    assert [each.key for each in rejected] == [A.key]
    assert await kernel.dump() == {102: {OTHER.logical: OTHER.physical}}


async def test_what_is_no_address_is_rejected_and_nothing_else(kind: KernelKind, kernel: Kernel) -> None:
    if kind.name == "model":
        pytest.skip("the model takes any text")
    await kernel.ensure_account(101)
    wrong = (A._replace(logical="10.0.0.256"), B._replace(physical="nowhere"))
    rejected = await kernel.upsert([A, *wrong])
    assert [each.key for each in rejected] == [entry.key for entry in wrong]
    assert await kernel.delete([wrong[0].key]) == ()
    assert await kernel.dump() == {101: {A.logical: A.physical}}


async def test_a_table_is_found_again_by_a_process_that_starts(opened: Opened) -> None:
    await opened.kernel.ensure_account(101)
    await opened.kernel.ensure_account(103)
    await opened.kernel.upsert([A, B])
    async with opened.again() as kernel:
        assert await kernel.dump() == {101: {A.logical: A.physical, B.logical: B.physical}, 103: {}}
        assert await kernel.upsert([A._replace(physical="172.31.0.9"), V6_TO_V4]) == ()
        assert await kernel.delete([B.key]) == ()
        after = {A.logical: "172.31.0.9", V6_TO_V4.logical: V6_TO_V4.physical}
        assert await kernel.dump() == {101: after, 103: {}}
        await kernel.remove_account(103)
    assert await opened.kernel.dump() == {101: after}


async def test_entries_without_our_mark_are_neither_shown_nor_touched(kind: KernelKind, opened: Opened) -> None:
    await opened.kernel.ensure_account(101)
    opened.plant(A.key)
    rejected = await opened.kernel.upsert([A, B])
    assert [each.key for each in rejected] == ([] if kind.keeps_apart else [A.key])
    await opened.kernel.delete([A.key])
    assert await opened.kernel.dump() == {101: {B.logical: B.physical}}
    assert opened.is_planted(A.key)


async def test_what_others_removed_is_told_and_can_be_written_again(opened: Opened) -> None:
    await opened.kernel.ensure_account(101)
    await opened.kernel.upsert([A, B])
    disturbances = opened.kernel.disturbances()
    heard = asyncio.ensure_future(anext(disturbances))
    await asyncio.sleep(0.05)  # until it listens
    assert not heard.done()
    opened.flush(101)
    async with asyncio.timeout(20):
        assert await heard
    assert await opened.kernel.dump() == {101: {}}
    assert await opened.kernel.upsert([A, B]) == ()
    assert await opened.kernel.dump() == {101: {A.logical: A.physical, B.logical: B.physical}}
    await disturbances.aclose()


async def test_a_batch_may_be_empty(kernel: Kernel) -> None:
    assert await kernel.upsert([]) == ()
    assert await kernel.delete([]) == ()


@given(
    wanted=strategies.dictionaries(strategies.integers(1, 30), strategies.integers(1, 5), max_size=20),
    present=strategies.dictionaries(strategies.integers(1, 30), strategies.integers(1, 5), max_size=20),
)
def test_the_difference_makes_any_table_equal_any_other(wanted: dict[int, int], present: dict[int, int]) -> None:
    async def check() -> None:
        kernel = ModelKernel()
        await kernel.ensure_account(7)
        await kernel.upsert([TableEntry(7, f"10.0.0.{at}", f"172.16.0.{to}") for at, to in present.items()])
        desired = {7: {f"10.0.0.{at}": f"172.16.0.{to}" for at, to in wanted.items()}}
        difference = reconcile(desired, await kernel.dump())
        await kernel.upsert(difference.upserts)
        await kernel.delete(difference.deletes)
        assert await kernel.dump() == desired
        assert reconcile(desired, desired) == ((), (), ())

    asyncio.run(check())


async def test_the_model_refuses_what_it_is_told_to_refuse_and_nothing_else() -> None:
    kernel = ModelKernel()
    await kernel.ensure_account(101)
    await kernel.upsert([A])
    kernel.table.refused.add(A.key)
    assert [each.key for each in await kernel.upsert([A._replace(physical="172.31.0.9"), B])] == [A.key]
    assert [each.key for each in await kernel.delete([A.key, B.key])] == [A.key]
    assert kernel.table.entries() == [A]
    assert kernel.table.physical_of(101, A.logical) == A.physical


async def test_the_model_answers_nothing_while_it_is_away() -> None:
    kernel = ModelKernel()
    kernel.table.is_away = True
    with pytest.raises(Unavailable):
        await kernel.dump()
