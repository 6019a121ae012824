"""Whether an account, host or pool may go, how it begins to, and what is left of it."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import PHYSICALS
from addrcast.core.domain.pool_use import listed, records_in
from addrcast.core.domain.record import AddressState, HoldState
from addrcast.core.domain.resource import PoolKind, Removal
from addrcast.core.domain.transitions_removal import remove_account, remove_host, remove_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, PhysicalHold
    from addrcast.core.domain.transitions import Draft

NAMES_MAX = 5


class Kind(Enum):
    """What can be removed."""

    ACCOUNT = "account"
    HOST = "host"
    POOL = "pool"


class Bound(Enum):
    """What becomes of bound instances: the removal is refused, waits for them, or takes their addresses."""

    REFUSED = "refused"
    WAITED_FOR = "waited for"
    TAKEN = "taken"


class Left(msgspec.Struct, frozen=True):
    """What is left of something: addresses by account and state, and the hosts that mirror it or are in it."""

    addresses: Counter[tuple[str, str]]
    hosts: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = []
        if self.addresses:
            states, accounts = _sums(self.addresses, 1), _sums(self.addresses, 0)
            parts.append(f"{listed(states)}, of {listed(accounts)}")
        if self.hosts:
            parts.append(f"hosts {_some(self.hosts)}")
        return "; ".join(parts) or "nothing"

    @property
    def bound(self) -> Counter[str]:
        """How many addresses are bound, by account."""
        bound = AddressState.BOUND.value
        return Counter({account: count for (account, state), count in self.addresses.items() if state == bound})


def _sums(addresses: Counter[tuple[str, str]], at: int) -> Counter[str]:
    sums: Counter[str] = Counter()
    for names, count in addresses.items():
        sums[names[at]] += count
    return sums


def left_of(ledger: Ledger, kind: Kind, name: str, prefixes: Sequence[str] = ()) -> Left:
    """What is left of an account, a host, a pool or some of its prefixes; for a pool it looks at every key."""
    if kind is Kind.ACCOUNT:
        return _left_of_account(ledger, name)
    if kind is Kind.HOST:
        return _left_of_host(ledger, name)
    pool = ledger.pool(name).value
    if pool is None:
        return Left(Counter())
    wanted = [parse_prefix(text) for text in prefixes or pool.prefixes]
    if pool.kind is PoolKind.PHYSICAL:
        holds = holds_in(ledger, wanted)
        return Left(Counter(_place(ledger, hold) for hold in holds), tuple(sorted(_routed(ledger, wanted))))
    return Left(Counter((account, record.state.value) for account, record in records_in(ledger, name, wanted)))


def begun(
    ledger: Ledger, kind: Kind, name: str, *, prefixes: Sequence[str] = (), bound: Bound, now_ms: int
) -> Draft | None:
    """The transaction by which something begins to go; None where it does already. Raises Invalid."""
    mark = ledger.removal(kind.value, name)
    before = mark.value
    wanted = Removal(
        since_ms=now_ms if before is None else before.since_ms,
        is_forced=bound is Bound.TAKEN or (before is not None and before.is_forced),
        prefixes=_going(before, tuple(prefixes)),
    )
    if kind is Kind.HOST and before is not None:
        return None
    draft = {Kind.ACCOUNT: _account, Kind.HOST: _host, Kind.POOL: _pool}[kind](ledger, name, (mark, wanted))
    if before == wanted:
        return None
    if bound is Bound.REFUSED and (held := left_of(ledger, kind, name, wanted.prefixes).bound):
        way_out = "--force takes their addresses" if kind is Kind.HOST else "--drain waits, --force takes them"
        rule = f"{held.total():,} addresses are bound, of {listed(held)}; delete their instances: {way_out}"
        raise Invalid(kind.value, name, rule)
    return draft


def holds_in(ledger: Ledger, prefixes: Sequence[Prefix]) -> Iterator[PhysicalHold]:
    """The keys P in some prefixes; looks at every key."""
    for physical, entry in ledger.items(PHYSICALS):
        address = parse_address(physical)
        if any(prefix.holds(address) for prefix in prefixes):
            yield entry.required


def _going(before: Removal | None, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    if before is None or not prefixes:
        return prefixes
    return () if not before.prefixes else tuple(dict.fromkeys((*before.prefixes, *prefixes)))


def _account(ledger: Ledger, name: str, mark: tuple[Entry[Removal], Removal]) -> Draft:
    account = ledger.account(name)
    if not account:
        raise Invalid("account", name, "no account of this name is declared")
    return remove_account(ledger.epoch, ledger.declared, account, mark)


def _host(ledger: Ledger, name: str, mark: tuple[Entry[Removal], Removal]) -> Draft:
    host = ledger.host(name)
    if not host:
        raise Invalid("host", name, "no host of this name is declared")
    if ledger.is_alive(name):
        rule = "its agent gives signs of life; switch the host off, or drain it if it shall stay on"
        raise Invalid("host", name, rule)
    return remove_host(ledger.epoch, ledger.declared, host, mark)


def _pool(ledger: Ledger, name: str, mark: tuple[Entry[Removal], Removal]) -> Draft:
    entry = ledger.pool(name)
    if not entry:
        raise Invalid("pool", name, "no pool of this name is declared")
    pool, going = entry.required, mark[1].prefixes
    for prefix in going:
        if prefix not in pool.prefixes:
            raise Invalid("prefix", prefix, f"one of {', '.join(pool.prefixes)} is expected")
    if set(going) == set(pool.prefixes):
        raise Invalid("prefix", ", ".join(going), f"nothing would be left of pool {name}; remove the pool instead")
    if pool.kind is PoolKind.PHYSICAL:
        hosts = sorted(_routed(ledger, [parse_prefix(text) for text in going or pool.prefixes]))
        if hosts:
            rule = f"hosts {_some(hosts)} have blocks in it; declare them without those first"
            raise Invalid("pool", name, rule)
    else:
        _check_users(ledger, name, going)
    return remove_pool(ledger.epoch, ledger.declared, entry, mark)


def _check_users(ledger: Ledger, name: str, going: Sequence[str]) -> None:
    """An account may have a pool of which prefixes go, unless it prefers one; none may have a pool that goes."""
    prefixes = [parse_prefix(text) for text in going]
    users = []
    for account_id, entry in sorted(ledger.accounts().items()):
        account = entry.required
        preferred = [parse_prefix(text) for text in account.preferences.prefixes]
        if name in account.pools and (not going or any(p.overlaps(q) for p in prefixes for q in preferred)):
            users.append(account_id)
    if users:
        verb = "prefer an address of it" if going else "have it"
        raise Invalid("pool", name, f"accounts {_some(users)} {verb}; declare them otherwise first")


def _left_of_account(ledger: Ledger, name: str) -> Left:
    found = Counter((name, entry.required.state.value) for entry in ledger.records(name).values())
    cooling = sum(hold.required.account == name for hold in ledger.cooling_physicals())
    if cooling:
        found[name, AddressState.COOLING.value] += cooling
    return Left(found, tuple(sorted(ledger.subscriptions(name))))


def _left_of_host(ledger: Ledger, name: str) -> Left:
    return Left(Counter(_place(ledger, entry.required) for entry in ledger.holds_of(name).values()))


def _place(ledger: Ledger, hold: PhysicalHold) -> tuple[str, str]:
    record = ledger.record(hold.account, hold.logical).value
    if hold.state is HoldState.COOLING or record is None:
        return hold.account, AddressState.COOLING.value
    return hold.account, record.state.value


def _routed(ledger: Ledger, prefixes: Sequence[Prefix]) -> set[str]:
    return {
        host
        for host, entry in ledger.hosts().items()
        for block in map(parse_prefix, entry.required.blocks)
        if any(prefix.overlaps(block) for prefix in prefixes)
    }


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {more:,} more" if more > 0 else "")
