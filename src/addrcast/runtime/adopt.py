"""Imports addresses in use into a store: all are checked first, then bound in bounded steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.adoption import AddressInUse, RowFault, adopt
from addrcast.core.domain.errors import Conflict, Invalid, OutcomeUnknown, Unavailable
from addrcast.core.domain.record import EpochState
from addrcast.runtime.declare import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.core.dataplane.table import Table
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transitions import Draft
    from addrcast.ports.kernel import Kernel
    from addrcast.ports.store import Store

STEP = 64
ROUNDS_MAX = 16
CLOSED_RETRY_MS = 5_000


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of an import: instances bound now, addresses that were there already, rows at fault."""

    instances: int
    present: int
    faults: tuple[RowFault, ...]


async def adopt_all(
    store: Store,
    rows: Sequence[AddressInUse],
    *,
    now_ms: int,
    unreadable: Sequence[RowFault] = (),
    is_partial: bool = False,
    is_dry: bool = False,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Adopted:
    """Bind what the rows say is in use; nothing is written while a row is at fault, unless `is_partial`.

    Broken off and begun anew, it goes on where it was. `unreadable` are rows at fault already; `advance` is told
    how many instances of how many are bound. Raises Unavailable where the store takes no creates or is away, and
    Conflict where others are in the way without a pause.
    """
    done, present = 0, None
    for _ in range(ROUNDS_MAX):
        ledger = await standing(store)
        if ledger.epoch.required.state is not EpochState.OPEN:
            raise Unavailable("the store is not open", retry_after_ms=CLOSED_RETRY_MS)
        adoption = adopt(ledger, rows, now_ms=now_ms)
        faults = sorted((*unreadable, *adoption.faults), key=lambda fault: fault.line)
        present = len(adoption.present) if present is None else present
        if is_dry or (faults and not is_partial) or not adoption.bindings:
            return Adopted(len(adoption.bindings) if is_dry else done, present, tuple(faults))
        total = done + len(adoption.bindings)
        await _commit(store, adoption.subscriptions)
        lost = False
        for first in range(0, len(adoption.bindings), STEP):
            advance(done, total)
            bound = await _commit(store, adoption.bindings[first : first + STEP])
            done += bound
            lost |= bound < len(adoption.bindings[first : first + STEP])
        if not lost:
            return Adopted(done, present, tuple(faults))
    raise Conflict(
        f"{done} instances are adopted; others changed what the rest needs in {ROUNDS_MAX} rounds: try again"
    )


async def _commit(store: Store, drafts: Sequence[Draft]) -> int:
    """How many of some transactions are known to be carried out."""
    done = 0
    for first in range(0, len(drafts), STEP):
        step = [draft.transaction() for draft in drafts[first : first + STEP]]
        try:
            done += sum(result.is_success for result in await store.commit(step))
        except OutcomeUnknown:
            continue  # what was carried out of it is found by the next round
    return done


async def rows_of_kernel(store: Store, kernel: Kernel) -> tuple[list[AddressInUse], list[RowFault]]:
    """What this host's own tables say is in use. Raises Unavailable."""
    return rows_of_table(await standing(store), await kernel.dump())


def rows_of_table(ledger: Ledger, table: Table) -> tuple[list[AddressInUse], list[RowFault]]:
    """What the tables of a host say is in use: the account by its VNI, the host by the physical address.

    Tables know no instances: each address is one, named `adopted-<logical>`. Lines count the entries in ascending
    order of VNI and logical address, from 1.
    """
    accounts = {entry.required.vni: name for name, entry in ledger.accounts().items()}
    rows: list[AddressInUse] = []
    faults: list[RowFault] = []
    entries = [(vni, logical, physical) for vni, found in table.items() for logical, physical in found.items()]
    for line, (vni, logical, physical) in enumerate(sorted(entries), start=1):
        if vni in accounts:
            name = f"adopted-{logical}"
            rows.append(
                AddressInUse(line=line, account=accounts[vni], logical=logical, instance=name, physical=physical)
            )
        else:
            faults.append(RowFault(line, Invalid("vni", vni, f"no account has it; {logical} is delivered by it")))
    return rows, faults
