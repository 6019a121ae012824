"""A create that finds nothing waits for what cools, else has an idle address taken back, else is refused."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from addrcast.core.assignment.candidates import READY, Candidates
from addrcast.core.assignment.choice import Lack, LackOf
from addrcast.core.domain.errors import Conflict, Exhausted, Invalid
from addrcast.core.domain.keyspace import parts_of, physical_key, pool_address_key, record_key
from addrcast.core.domain.record import AddressState, Entry, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import PhysicalHold

RETRY_LEAST_MS = 1_000


class Wait(msgspec.Struct, frozen=True):
    """The create waits for addresses to come free, until its deadline.

    `expecting` are the keys of the cooling ones that it counts on, so that no other create does. `take_back` is an
    idle record that is to cool for it. `retry_after_ms` is what the caller is told when the deadline comes first.
    """

    lack: Lack
    expecting: frozenset[str]
    retry_after_ms: int
    take_back: Entry[Record] | None = None


def relieve(
    candidates: Candidates,
    lack: Lack,
    account: str,
    *,
    now_ms: int,
    mine: Collection[str],
    others: Collection[str],
) -> Wait:
    """Find what to wait for: what this create counts on already, what cools and nobody counts on, or what is idle.

    `mine` and `others` are the keys that this and the other waiting creates count on. Raises Exhausted where
    nothing is coming and nothing is idle, Conflict where a named address is in use.
    """
    ledger = candidates.ledger
    coming = {entry.key: entry for entry in _coming(candidates, lack, account)}
    retry_ms = min((_ends_ms(ledger, entry) - now_ms for entry in coming.values()), default=0)
    retry_ms = max(retry_ms, RETRY_LEAST_MS)
    counted_on = [key for key in coming if key in mine] or [key for key in coming if key not in others][:1]
    if counted_on:
        return Wait(lack, frozenset(counted_on), retry_ms)
    idle = _to_take_back(candidates, lack, taken=candidates.taken)
    if idle is not None:
        return Wait(lack, frozenset([idle.key]), retry_ms, idle)
    if coming or _returns(ledger, lack) or _to_take_back(candidates, lack, taken=()) is not None:
        return Wait(lack, frozenset(), retry_ms)
    way_out = "grow the pool or the host's blocks, or delete instances"
    raise Exhausted(str(lack).removeprefix("pool "), asked=1, free=0, way_out=way_out)


def is_in_flight(candidates: Candidates, lack: Lack, account: str) -> bool:
    """Whether attempts in flight hold what would serve: should they fail, it is there, so nobody is refused yet."""
    if not candidates.taken or lack.of is LackOf.NAMED:
        return False
    ledger = candidates.ledger
    host = lack.host if lack.of is LackOf.PHYSICAL and lack.host else None  # a logical one could move here
    ready = (entry for state in READY for entry in ledger.in_state(account, state, host=host))
    keys = (entry.key for entry in ready)
    return any(key in candidates.taken for key in chain(keys, _free_keys(candidates, lack, account)))


def _free_keys(candidates: Candidates, lack: Lack, account: str) -> Iterator[str]:
    """The keys that taking a free address of those that would serve writes."""
    ledger = candidates.ledger
    if lack.of is LackOf.PHYSICAL:
        for host in _hosts(candidates, lack):
            yield from map(physical_key, ledger.free_physicals(host))
        return
    for pool in lack.pools:
        for logical in ledger.free_logicals(account, pool):
            yield record_key(account, logical)
            yield pool_address_key(pool, logical)


def _returns(ledger: Ledger, lack: Lack) -> bool:
    """Whether a host is about to take new use again that has addresses which are not bound."""
    if lack.of is not LackOf.PHYSICAL or lack.host:
        return False
    counts = [
        ledger.physical_counts(host=host)
        for host, entry in ledger.hosts().items()
        if entry.required.will_take_use and not entry.required.takes_use
    ]
    return any(count.bound < count.total for count in counts)


def _hosts(candidates: Candidates, lack: Lack) -> tuple[str, ...]:
    return (lack.host,) if lack.host else candidates.up_hosts()


def _coming(candidates: Candidates, lack: Lack, account: str) -> Iterator[Entry[Record] | Entry[PhysicalHold]]:
    """What cools and would serve, the longest first."""
    ledger = candidates.ledger
    if lack.of is LackOf.PHYSICAL:
        hosts = frozenset(_hosts(candidates, lack))
        yield from (entry for entry in ledger.cooling_physicals() if entry.required.host in hosts)
        yield from (entry for entry in ledger.cooling_records() if entry.required.host in hosts)
        return
    for entry in ledger.cooling_records():
        record = entry.required
        _, owner, logical = parts_of(entry.key)
        if record.pool in lack.pools and (record.is_shared or owner == account) and lack.logical in ("", logical):
            yield entry


def _ends_ms(ledger: Ledger, entry: Entry[Record] | Entry[PhysicalHold]) -> int:
    """The earliest that an address can be free; hosts that do not acknowledge hold it longer."""
    value = entry.required
    if isinstance(value, Record):
        if not value.was_bound:
            return value.since_ms
        account = parts_of(entry.key).first
    else:
        account = value.account
    try:
        return value.since_ms + ledger.tier_of(account).cooldown_ms
    except Invalid:  # the account is gone, its last addresses still cool
        return value.since_ms


def _to_take_back(candidates: Candidates, lack: Lack, *, taken: Collection[str]) -> Entry[Record] | None:
    """The idle record worth least of those that would serve: a reserved one, then a preserved one."""
    if lack.of is LackOf.NAMED:
        return _owned(candidates, lack)
    ledger = candidates.ledger
    if lack.of is LackOf.PHYSICAL:
        queues = [ledger.idle_reservations(host=host) for host in _hosts(candidates, lack)]
    else:
        queues = [ledger.idle_reservations(pool=pool) for pool in lack.pools]
    worth = _worth(candidates)
    for found in (queues, [_preserved(candidates, lack)]):
        firsts = [next((entry for entry in queue if entry.key not in taken), None) for queue in found]
        least = min([entry for entry in firsts if entry is not None], key=worth, default=None)
        if least is not None:
            return least
    return None


def _preserved(candidates: Candidates, lack: Lack) -> Iterator[Entry[Record]]:
    """Preserved records that would serve, least worth first; looks at every account, which is rare enough."""
    ledger = candidates.ledger
    hosts: tuple[str | None, ...] = _hosts(candidates, lack) if lack.of is LackOf.PHYSICAL else (None,)
    found = [
        entry
        for account in ledger.accounts_with_records()
        for host in hosts
        for entry in ledger.in_state(account, AddressState.PRESERVED, host=host)
        if lack.of is LackOf.PHYSICAL or (entry.required.is_shared and entry.required.pool in lack.pools)
    ]
    return iter(sorted(found, key=_worth(candidates)))


def _owned(candidates: Candidates, lack: Lack) -> Entry[Record] | None:
    """The record of another account that holds a named address, where it is idle. Raises Conflict where bound."""
    ledger = candidates.ledger
    owner = ledger.pool_address(lack.pools[0], lack.logical).required.account
    record = ledger.record(owner, lack.logical)
    if record.value is None or record.key in candidates.taken or record.value.state not in READY:
        if record.value is not None and record.value.state is AddressState.BOUND:
            raise Conflict(f"address {lack.logical} of pool {lack.pools[0]} is in use by another account")
        return None
    return record


def _worth(candidates: Candidates) -> Callable[[Entry[Record]], tuple[int, int, str]]:
    """The order in which idle records go: lowest tier first, then the one that changed longest ago."""
    return lambda entry: (-candidates.rank(parts_of(entry.key).first), entry.revision, entry.key)
