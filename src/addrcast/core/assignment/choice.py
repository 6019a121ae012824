"""How a create chooses on one host: its former address, one held ready there, one moved there, a free one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from addrcast.core.assignment.candidates import READY, Candidates
from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.errors import AddrcastError, Conflict, Invalid
from addrcast.core.domain.keyspace import HOSTS, record_key
from addrcast.core.domain.quick_enum import quick
from addrcast.core.domain.record import AddressState, Entry, Outcome
from addrcast.core.domain.transitions import FreeAddress
from addrcast.core.domain.transitions_create import Claim, Move, Step, bind, dynamic, early_return, rebind, repeat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.assignment.request import Want
    from addrcast.core.domain.address import Address, Family
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Host, Record
    from addrcast.core.domain.resource import Account, Pool


@quick
class LackOf(Enum):
    """What a create can lack."""

    LOGICAL = "logical"
    PHYSICAL = "physical"
    NAMED = "named"
    QUOTA = "quota"
    IN_FLIGHT = "in flight"


class Lack(msgspec.Struct, frozen=True):
    """What a create found none of, where it looked.

    A named address is lacking while another account of its pool holds it; one in flight is about to be written by
    another attempt, after which the same create may ask again.
    """

    of: LackOf
    host: str
    pools: tuple[str, ...]
    logical: str = ""

    def __str__(self) -> str:
        pools = f"pool {', '.join(self.pools)}"
        if self.logical:
            return f"{pools} under the name {self.logical}"
        host = f"host {self.host}" if self.host else "any host"
        return pools if self.of is LackOf.LOGICAL else f"{pools} on {host}"


class Choice:
    """The addresses of one create on one host.

    Each is taken as soon as it is chosen, and all are given back where one cannot be had. With `is_scarce`,
    cooling addresses of the account come into play as well.
    """

    __slots__ = ("_account", "_candidates", "_host", "_is_scarce", "_ledger", "claim", "host_id", "steps")

    def __init__(
        self, candidates: Candidates, claim: Claim, account: Account, host: Entry[Host], *, is_scarce: bool
    ) -> None:
        self._candidates = candidates
        self._ledger = candidates.ledger
        self.claim = claim
        self._account = account
        self._host = host
        self.host_id = host.key[len(HOSTS) :]
        self._is_scarce = is_scarce
        self.steps: list[Step] = []

    def take_all(self, wants: Sequence[Want]) -> Lack | None:
        """Choose an address for every want, or say what is lacking. Raises Invalid, Conflict."""
        try:
            for want in wants:
                pools = pools_of(self._ledger, self._account, want)
                found = self._named(want.logical, pools) if want.logical else self._any(pools)
                if isinstance(found, Lack):
                    self.give_back()
                    return found
                self._take(found)
        except AddrcastError:
            self.give_back()
            raise
        return None

    def repeat_all(self, records: Sequence[Entry[Record]], outcomes: Sequence[Outcome]) -> Lack | None:
        """Give the addresses of a bound instance to its higher attempt, moving those that are on other hosts."""
        for record, outcome in zip(records, outcomes, strict=True):
            if record.required.host == self.host_id:
                self._take(repeat(record, self.claim, outcome))
                continue
            physical = self._candidates.physical(self.host_id)
            if physical is None:
                self.give_back()
                return self._lack(LackOf.PHYSICAL, (record.required.pool,))
            self._take(rebind(record, self._move_to(record, physical), self.claim, Outcome.REBOUND))
        return None

    def give_back(self) -> None:
        """Take nothing after all."""
        for step in self.steps:
            self._candidates.taken.difference_update([entry.key for entry, _ in step.writes])
        self.steps.clear()

    def _take(self, step: Step) -> None:
        self.steps.append(step)
        self._candidates.taken.update([entry.key for entry, _ in step.writes])

    def _any(self, pools: tuple[str, ...]) -> Step | Lack:
        return self._former(pools) or self._ready_here(pools) or self._placed_here(pools)

    def _former(self, pools: tuple[str, ...]) -> Step | None:
        for record in self._ledger.preserved(self.claim.account, self.claim.instance).values():
            if not self._candidates.is_open(self.claim.account, record, pools):
                continue
            if record.required.host == self.host_id:
                return bind(record, self.claim, Outcome.PRESERVED)
            physical = self._candidates.physical(self.host_id)
            if physical is not None:
                return self._ready(record, physical)
        return None

    def _ready_here(self, pools: tuple[str, ...]) -> Step | None:
        for state in READY:
            record = self._candidates.record(self.claim.account, state, self.host_id, pools)
            if record is not None:
                return bind(record, self.claim, Outcome.SHADOW)
        return None

    def _placed_here(self, pools: tuple[str, ...]) -> Step | Lack:
        physical = self._candidates.physical(self.host_id)
        if physical is not None:
            for state in READY:
                record = self._candidates.record(self.claim.account, state, None, pools)
                if record is not None:
                    return rebind(record, self._move_to(record, physical), self.claim, Outcome.REBOUND)
        if self._is_over_quota():
            return self._lack(LackOf.QUOTA, pools)
        step = self._fresh(pools, physical) or self._cooling(pools, physical)
        return step or self._lack(LackOf.PHYSICAL if physical is None else LackOf.LOGICAL, pools)

    def _fresh(self, pools: tuple[str, ...], physical: str | None) -> Step | None:
        if physical is None:
            return None
        prefer = tuple([parse_prefix(prefix) for prefix in self._account.preferences.prefixes])
        for pool in pools:
            logical = self._candidates.logical(self.claim.account, pool, prefer)
            if logical is not None:
                return self._dynamic(pool, logical, physical)
        return None

    def _cooling(self, pools: tuple[str, ...], physical: str | None) -> Step | None:
        if not self._is_scarce:
            return None
        record = self._candidates.record(self.claim.account, AddressState.COOLING, self.host_id, pools)
        if record is None and physical is not None:
            record = self._candidates.record(self.claim.account, AddressState.COOLING, None, pools)
        return None if record is None else self._early(record, physical)

    def _named(self, logical: str, pools: tuple[str, ...]) -> Step | Lack:
        record = self._ledger.record(self.claim.account, logical)
        if not record:
            return self._named_free(logical, pools)
        value = record.required
        if record.key in self._candidates.taken:
            return self._lack(LackOf.IN_FLIGHT, pools, logical)
        if value.state is AddressState.BOUND:
            raise Conflict(f"address {logical} is bound to instance {value.instance}; name another, or delete that")
        if self._candidates.is_draining(value.pool, logical):
            raise Invalid("logical", logical, f"its prefix of pool {value.pool} drains; name another")
        if value.host == self.host_id:
            physical = None
        else:
            physical = self._candidates.physical(self.host_id)
            if physical is None:
                return self._lack(LackOf.PHYSICAL, pools)
        if value.state is AddressState.COOLING:
            return self._early(record, physical)
        return self._ready(record, physical)

    def _named_free(self, logical: str, pools: tuple[str, ...]) -> Step | Lack:
        pool = pool_of(self._ledger, pools, logical)
        owner = self._ledger.pool_address(pool, logical)
        taken = self._candidates.taken
        if owner.key in taken or record_key(self.claim.account, logical) in taken:
            return self._lack(LackOf.IN_FLIGHT, pools, logical)
        if owner:
            return self._lack(LackOf.NAMED, (pool,), logical)
        if self._is_over_quota():
            return self._lack(LackOf.QUOTA, pools)
        physical = self._candidates.physical(self.host_id)
        return self._lack(LackOf.PHYSICAL, pools) if physical is None else self._dynamic(pool, logical, physical)

    def _ready(self, record: Entry[Record], physical: str | None) -> Step:
        value = record.required
        is_former = value.state is AddressState.PRESERVED and value.instance == self.claim.instance
        if physical is None:
            return bind(record, self.claim, Outcome.PRESERVED if is_former else Outcome.SHADOW)
        outcome = Outcome.PRESERVED if is_former else Outcome.REBOUND
        return rebind(record, self._move_to(record, physical), self.claim, outcome)

    def _early(self, record: Entry[Record], physical: str | None) -> Step:
        value = record.required
        outcome = Outcome.PRESERVED if value.instance == self.claim.instance else Outcome.DYNAMIC
        if value.host == self.host_id or physical is None:
            return early_return(record, self.claim, outcome)
        return early_return(record, self.claim, outcome, self._move_to(record, physical))

    def _dynamic(self, pool_id: str, logical: str, physical: str) -> Step:
        pool = self._ledger.pool(pool_id)
        free = FreeAddress(
            record=self._ledger.record(self.claim.account, logical),
            hold=self._ledger.physical(physical),
            pool=pool,
            host=self._host,
            account=self._ledger.account(self.claim.account),
            owner=self._ledger.pool_address(pool_id, logical) if pool.required.is_shared else None,
        )
        return dynamic(free, self.claim)

    def _move_to(self, record: Entry[Record], physical: str) -> Move:
        return Move(self._ledger.physical(record.required.physical), self._ledger.physical(physical), self._host)

    def _is_over_quota(self) -> bool:
        quota = self._account.quota
        if quota is None:
            return False
        fresh = sum(step.outcome is Outcome.DYNAMIC for step in self.steps)
        return self._ledger.usage(self.claim.account) + fresh >= quota

    def _lack(self, of: LackOf, pools: tuple[str, ...], logical: str = "") -> Lack:
        return Lack(of, self.host_id, pools, logical)


def pools_of(ledger: Ledger, account: Account, want: Want) -> tuple[str, ...]:
    """The account's pools that may serve a want, in the account's order. Raises Invalid where there is none."""
    pools = account.pools
    if want.pool:
        pools = tuple([pool for pool in pools if pool == want.pool])
    if want.family is not None:
        pools = tuple([pool for pool in pools if _family_of(ledger.pool(pool).value) is want.family])
    if not pools:
        asked = want.pool or (want.family.name if want.family else "any")
        raise Invalid("wants", asked, f"the account has no such pool; it has {', '.join(account.pools) or 'none'}")
    return pools


def pool_of(ledger: Ledger, pools: tuple[str, ...], logical: str) -> str:
    """Which of some pools has an address for new use. Raises Invalid where none has."""
    address = parse_address(logical)
    for pool_id in pools:
        pool = ledger.pool(pool_id).value
        if pool is None or not _holds(pool.prefixes, address) or _holds(pool.exclusions, address):
            continue
        if _holds(pool.draining, address):
            raise Invalid("logical", logical, f"its prefix of pool {pool_id} drains; name another")
        return pool_id
    raise Invalid("logical", logical, f"an address of pool {' or '.join(pools)} is expected")


def _holds(prefixes: tuple[str, ...], address: Address) -> bool:
    return any(parse_prefix(prefix).holds(address) for prefix in prefixes)


def _family_of(pool: Pool | None) -> Family | None:
    return None if pool is None else parse_prefix(pool.prefixes[0]).family
