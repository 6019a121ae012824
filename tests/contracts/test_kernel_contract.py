"""What every kernel table must promise; each backend runs the same suite."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies

from addrcast.core.dataplane.reconcile import reconcile
from addrcast.core.dataplane.table import TableEntry, TableKey
from addrcast.core.domain.errors import Unavailable
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from addrcast.ports.kernel import Kernel

A = TableEntry(101, "10.0.0.2", "172.31.0.2")
B = TableEntry(101, "10.0.0.3", "172.31.0.3")
OTHER = TableEntry(102, "10.0.0.2", "172.31.1.2")
V6 = TableEntry(101, "fd00::2", "fd00:31::2")


@pytest.fixture(params=["model"])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return {"model": ModelKernel}[request.param]()


async def test_an_entry_is_there_once_it_is_written(kernel: Kernel) -> None:
    await kernel.ensure_account(101)
    assert await kernel.upsert([A, B, V6]) == ()
    assert await kernel.dump() == {101: {entry.logical: entry.physical for entry in (A, B, V6)}}


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


async def test_the_model_leaves_entries_without_our_mark_alone() -> None:
    kernel = ModelKernel()
    await kernel.ensure_account(101)
    kernel.table.foreign[TableKey(101, A.logical)] = "172.31.0.99"
    assert len(await kernel.upsert([A])) == 1
    assert await kernel.delete([A.key]) == ()
    assert await kernel.dump() == {101: {}}


async def test_the_model_answers_nothing_while_it_is_away() -> None:
    kernel = ModelKernel()
    kernel.table.is_away = True
    with pytest.raises(Unavailable):
        await kernel.dump()


async def test_who_listens_is_told_of_a_link_that_flushed_its_entries() -> None:
    kernel = ModelKernel()
    await kernel.ensure_account(101)
    await kernel.upsert([A])
    disturbances = kernel.disturbances()
    heard = asyncio.ensure_future(anext(disturbances))
    await asyncio.sleep(0)
    kernel.flush_links()
    assert await heard == "a link went down and up"
    assert await kernel.dump() == {101: {}}
    await disturbances.aclose()
