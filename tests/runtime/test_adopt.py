"""Importing addresses in use: checked whole, written in steps, begun again where it was broken off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.runtime.site import RESOURCES, CountingStore, ledger_of

from addrcast.core.dataplane.table import TableEntry
from addrcast.core.domain.adoption import AddressInUse
from addrcast.core.domain.codec import encode
from addrcast.core.domain.errors import Conflict, Invalid, OutcomeUnknown, Unavailable
from addrcast.core.domain.invariants import violations
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import EpochState, StoreEpoch
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.runtime.adopt import adopt_all, rows_of_kernel
from addrcast.runtime.adoption_file import read_adoption
from addrcast.runtime.declare import declare, set_up
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from addrcast.core.domain.transaction import Result

ROWS = [
    AddressInUse(line=2 + n, account="gold", logical=f"10.0.0.{n}", instance=f"vm-{n}", host="h1")
    for n in range(150)
]


class UnsteadyStore(CountingStore):
    """Of the coming commits, some fall out: `fates` says of each whether it happens and whether that is known."""

    def __init__(self) -> None:
        super().__init__()
        self.fates: list[str] = []

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        fate = self.fates.pop(0) if self.fates else "done"
        if fate == "away":
            raise Unavailable("the store is away", retry_after_ms=1)
        if fate == "raced":
            never = Compare("never", 7)
            transactions = [Transaction((*each.compares, never), each.writes) for each in transactions]
        results = await super().commit(transactions)
        if fate == "deaf":
            raise OutcomeUnknown("no answer", retry_after_ms=1)
        return results


@pytest.fixture
async def store() -> UnsteadyStore:
    made = UnsteadyStore()
    await set_up(made)
    await declare(made, RESOURCES)
    return made


async def bound(store: UnsteadyStore) -> int:
    ledger = await ledger_of(store)
    assert violations(ledger) == []
    return ledger.usage("gold")


async def test_rows_are_bound_in_bounded_steps_with_progress(store: UnsteadyStore) -> None:
    told: list[tuple[int, int]] = []
    found = await adopt_all(store, ROWS, now_ms=5, advance=lambda done, total: told.append((done, total)))
    assert (found.instances, found.present, found.faults) == (150, 0, ())
    assert told == [(0, 150), (64, 150), (128, 150)]
    assert await bound(store) == 150
    again = await adopt_all(store, ROWS, now_ms=6)
    assert (again.instances, again.present) == (0, 150)


@pytest.mark.parametrize("fates", [["done", "raced"], ["done", "deaf", "raced"], ["deaf", "deaf", "deaf", "deaf"]])
async def test_what_loses_a_race_or_gets_no_answer_is_looked_at_again(
    store: UnsteadyStore, fates: list[str]
) -> None:
    store.fates = fates
    found = await adopt_all(store, ROWS, now_ms=5)
    assert found.faults == ()
    assert await bound(store) == 150


async def test_an_import_that_was_broken_off_goes_on_where_it_was(store: UnsteadyStore) -> None:
    store.fates = ["done", "done", "away"]
    with pytest.raises(Unavailable, match="the store is away"):
        await adopt_all(store, ROWS, now_ms=5)
    assert await bound(store) == 64
    found = await adopt_all(store, ROWS, now_ms=6)
    assert (found.instances, found.present) == (86, 64)


async def test_who_loses_every_race_is_told_so(store: UnsteadyStore) -> None:
    store.fates = ["raced"] * 100
    with pytest.raises(Conflict, match="0 instances are adopted"):
        await adopt_all(store, ROWS[:3], now_ms=5)


async def test_nothing_is_written_where_a_row_is_at_fault_unless_in_part(store: UnsteadyStore) -> None:
    rows = [*ROWS[:3], AddressInUse(line=9, account="nobody", logical="10.0.0.9", instance="x", host="h1")]
    found = await adopt_all(store, rows, now_ms=5)
    assert [(fault.line, fault.reason.field) for fault in found.faults] == [(9, "account")]
    assert (found.instances, await bound(store)) == (0, 0)
    found = await adopt_all(store, rows, now_ms=5, is_partial=True)
    assert (found.instances, len(found.faults), await bound(store)) == (3, 1, 3)


async def test_a_dry_run_says_what_could_be_adopted_and_writes_nothing(store: UnsteadyStore) -> None:
    found = await adopt_all(store, ROWS, now_ms=5, is_dry=True)
    assert (found.instances, await bound(store)) == (150, 0)


async def test_a_store_that_takes_no_creates_adopts_nothing(store: UnsteadyStore) -> None:
    closed = StoreEpoch(epoch=2, state=EpochState.CLOSED)
    await store.commit([Transaction((), (Put(EPOCH, encode(closed)),))])
    with pytest.raises(Unavailable, match="not open"):
        await adopt_all(store, ROWS, now_ms=5)


async def test_what_a_hosts_own_table_holds_is_adopted_under_names_made_of_the_addresses(
    store: UnsteadyStore,
) -> None:
    kernel = ModelKernel()
    for vni in (2, 3, 77):
        await kernel.ensure_account(vni)
    entries = [
        TableEntry(2, "10.0.0.1", "172.16.0.1"),
        TableEntry(3, "10.0.0.2", "172.16.0.2"),
        TableEntry(77, "10.0.0.3", "172.16.0.3"),
        TableEntry(2, "10.0.0.4", "192.168.0.1"),
    ]
    await kernel.upsert(entries)
    rows, unreadable = await rows_of_kernel(store, kernel)
    found = await adopt_all(store, rows, now_ms=5, unreadable=unreadable, is_partial=True)
    assert found.instances == 2
    assert [(fault.line, fault.reason.field) for fault in found.faults] == [(2, "physical"), (4, "vni")]
    ledger = await ledger_of(store)
    assert ledger.instance("gold", "adopted-10.0.0.1").required.addresses == ("10.0.0.1",)
    assert ledger.record("new", "10.0.0.2").required.host == "h1"


def csv_of(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "in-use.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_file_has_a_header_in_any_order_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    text = 'instance,host,logical,account,attempt\nvm-1,h1,10.0.0.1,gold,3\n\n , ,\n"vm, 2",h2,10.0.0.2,gold,\n'
    rows, faults = read_adoption(csv_of(tmp_path, text, "utf-8-sig"))
    assert faults == []
    assert rows == [
        AddressInUse(line=2, account="gold", logical="10.0.0.1", instance="vm-1", host="h1", attempt=3),
        AddressInUse(line=5, account="gold", logical="10.0.0.2", instance="vm, 2", host="h2"),
    ]


def test_a_line_that_cannot_be_read_is_told_with_its_number_column_and_rule(tmp_path: Path) -> None:
    text = (
        "account,logical,physical,instance,attempt\ngold,10.0.0.1\ngold,,172.16.0.1,vm,0\ngold,10.0.0.1,x,vm,-1\n"
    )
    _, faults = read_adoption(csv_of(tmp_path, text))
    assert [(fault.line, fault.reason.field) for fault in faults] == [
        (2, "columns"),
        (3, "logical"),
        (4, "attempt"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one of physical, host are expected"),
        ("account,logical,instance\n", "one of physical, host are expected"),
        ("account,logical,physical\n", "columns account, logical, instance"),
        ("account,logical,instance,host,colour\n", "'colour'"),
        ("account,logical,instance,host,host\n", "each once"),
        ('account,logical,instance,host\ngold,"10.0.0.1\n', "line 3: .* it is no CSV"),
    ],
)
def test_a_file_that_is_not_one_of_addresses_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read_adoption(csv_of(tmp_path, text))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in-use.csv"
    path.write_bytes(b"account,logical,instance,host\ngold,10.0.0.1,\xff\xfe,h1\n")
    with pytest.raises(Invalid, match="no CSV in UTF-8"):
        read_adoption(path)
