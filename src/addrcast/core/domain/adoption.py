"""Addresses that were in use before this system came, imported as bound."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.blocks import BlockIndex
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.identity import check_instance
from addrcast.core.domain.keyspace import physical_key
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.transitions import FreeAddress
from addrcast.core.domain.transitions_create import Claim, create, dynamic
from addrcast.core.domain.transitions_host import subscribe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transitions import Draft

    _Found = tuple["AddressInUse", FreeAddress | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressInUse:
    """One row of an import: an address that an instance has, and where it is delivered; `line` is for messages.

    Without a `host` it is the one that the physical address is routed to; without `physical`, a free one of the
    host is taken.
    """

    line: int
    account: str
    logical: str
    instance: str
    physical: str = ""
    host: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that cannot be adopted, and why."""

    line: int
    reason: Invalid


@dataclass(slots=True)
class Adoption:
    """What an import comes to: its transactions, rows at fault, lines of rows that are adopted already.

    The subscriptions are to be written before the bindings. There is one binding for each instance, with all its
    addresses; one address at fault keeps out the others.
    """

    subscriptions: list[Draft] = field(default_factory=list)
    bindings: list[Draft] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    present: list[int] = field(default_factory=list)


def adopt(ledger: Ledger, rows: Iterable[AddressInUse], *, now_ms: int, request: str = "") -> Adoption:
    """Turn rows into transactions that bind what is free, as `dynamic` does; every row is judged by itself.

    The transactions compare all that was read, so they fail where the world moved on: adopt again then. The same
    rows may be adopted any number of times.
    """
    adoption = Adoption()
    places = _Places(ledger)
    missing: dict[str, Draft] = {}
    for addresses in _by_instance(ledger, places, rows, adoption).values():
        first, _ = addresses[0]
        reason = _reason_against(addresses)
        if reason is not None:
            adoption.faults += [RowFault(row.line, reason) for row, free in addresses if free is not None]
            continue
        claim = Claim(first.account, first.instance, first.attempt, now_ms, request)
        steps = [dynamic(free, claim) for _, free in addresses if free is not None]
        instance = ledger.instance(first.account, first.instance)
        subscription = ledger.subscription(first.host, first.account)
        if subscription.value is None or not subscription.value.stands:
            missing[subscription.key] = subscribe(ledger.epoch, subscription)
        is_missing = subscription.key in missing
        adoption.bindings.append(
            create(ledger.epoch, instance, claim, steps, subscription=None if is_missing else subscription)
        )
    adoption.subscriptions += missing.values()
    adoption.faults.sort(key=lambda fault: fault.line)
    return adoption


def _by_instance(
    ledger: Ledger, places: _Places, rows: Iterable[AddressInUse], adoption: Adoption
) -> dict[tuple[str, str], list[_Found]]:
    """The rows of each instance with what they need, None for rows at fault; those present are left out."""
    instances: dict[tuple[str, str], list[_Found]] = {}
    # a physical address that is drawn must not be one that a later row names
    for asked in sorted(rows, key=lambda row: not row.physical):
        if _is_present(ledger, asked):
            adoption.present.append(asked.line)
            continue
        row, free = asked, None
        try:
            row = places.placed(asked)
            free = _free_address(ledger, row, places.lines)
        except Invalid as reason:
            adoption.faults.append(RowFault(row.line, reason))
        instances.setdefault((row.account, row.instance), []).append((row, free))
    return instances


class _Places:
    """Where addresses are delivered; `lines` tells which line has a key already."""

    def __init__(self, ledger: Ledger) -> None:
        self.lines: dict[str, int] = {}
        self._ledger = ledger
        self._blocks = BlockIndex({name: entry.required for name, entry in ledger.hosts().items()})
        self._free: dict[str, Iterator[str]] = {}

    def placed(self, row: AddressInUse) -> AddressInUse:
        """The row with both a physical address and a host. Raises Invalid."""
        if row.physical and row.host:
            return row
        if row.physical:
            host = self._blocks.owner(parse_address(row.physical))
            if host is None:
                raise Invalid("physical", row.physical, "it lies in no block of a host; route one first")
            return replace(row, host=host)
        if not row.host:
            raise Invalid("physical", "", "a physical address or a host is expected")
        for physical in self._free.setdefault(row.host, self._ledger.free_physicals(row.host)):
            if physical_key(physical) not in self.lines:
                return replace(row, physical=physical)
        raise Invalid("host", row.host, "it has no free physical address, or takes no new use")


def _is_present(ledger: Ledger, row: AddressInUse) -> bool:
    record = ledger.record(row.account, row.logical).value
    return (
        record is not None
        and record.state is AddressState.BOUND
        and record.instance == row.instance
        and row.physical in ("", record.physical)
        and row.host in ("", record.host)
    )


def _free_address(ledger: Ledger, row: AddressInUse, lines: dict[str, int]) -> FreeAddress:
    """The entries that the row needs: declared account, pool and host, everything else absent. Raises Invalid."""
    check_instance(row.instance)
    if row.attempt < 0:
        raise Invalid("attempt", row.attempt, "at least 0 is expected")
    host = ledger.host(row.host)
    if host.value is None:
        raise Invalid("host", row.host, "no host of this name is declared")
    physical = parse_address(row.physical)
    if not any(parse_prefix(block).holds(physical) for block in host.value.blocks):
        raise Invalid("physical", row.physical, f"it must lie inside a block of host {row.host}; route one first")
    pool_id = _pool_of(ledger, row)
    pool = ledger.pool(pool_id)
    free = FreeAddress(
        record=ledger.record(row.account, row.logical),
        hold=ledger.physical(row.physical),
        pool=pool,
        host=host,
        account=ledger.account(row.account),
        owner=ledger.pool_address(pool_id, row.logical) if pool.required.is_shared else None,
    )
    if free.record:
        raise Invalid("logical", row.logical, f"it has a record, {free.record.required.state.value}")
    if free.hold:
        raise Invalid("physical", row.physical, f"account {free.hold.required.account} has it")
    if free.owner:
        raise Invalid("logical", row.logical, f"account {free.owner.required.account} has it in pool {pool_id}")
    if ledger.instance(row.account, row.instance):
        raise Invalid("instance", row.instance, "it is known already, with other addresses or as deleted")
    _check_named_once(free, row.line, lines)
    return free


def _pool_of(ledger: Ledger, row: AddressInUse) -> str:
    """The account's pool with the address in one of its prefixes; in use as it is, it may be excluded there."""
    account = ledger.account(row.account).value
    if account is None:
        raise Invalid("account", row.account, "no account of this name is declared")
    if account.is_draining:
        raise Invalid("account", row.account, "it drains and gets no new use")
    logical = parse_address(row.logical)
    for pool_id in account.pools:
        pool = ledger.pool(pool_id).value
        if pool is not None and any(parse_prefix(prefix).holds(logical) for prefix in pool.prefixes):
            if any(parse_prefix(prefix).holds(logical) for prefix in pool.draining):
                raise Invalid("logical", row.logical, f"its prefix of pool {pool_id} drains; let it take use first")
            return pool_id
    raise Invalid("logical", row.logical, f"it lies in no pool of account {row.account}; grow one first")


def _check_named_once(free: FreeAddress, line: int, lines: dict[str, int]) -> None:
    keys = [free.record.key, free.hold.key]
    if free.owner is not None:
        keys.append(free.owner.key)
    for key in keys:
        if key in lines:
            raise Invalid("row", key, f"line {lines[key]} has it; name each address once")
    lines.update(dict.fromkeys(keys, line))


def _reason_against(addresses: list[_Found]) -> Invalid | None:
    first = addresses[0][0]
    if any(free is None for _, free in addresses):
        return Invalid("instance", first.instance, "another address of it is at fault; all are adopted or none")
    if len({row.host for row, _ in addresses}) > 1:
        return Invalid("instance", first.instance, "its addresses are on several hosts; one is expected")
    if len({row.attempt for row, _ in addresses}) > 1:
        return Invalid("attempt", first.attempt, "its addresses are of several attempts; one is expected")
    return None
