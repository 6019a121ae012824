"""What the ledger offers to creates, less what attempts in flight have taken from it."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import physical_key, pool_address_key, record_key
from addrcast.core.domain.record import AddressState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, Record

READY = (AddressState.RESERVED, AddressState.PRESERVED)

_DRAW = 64
_RANK_LAST = 1 << 30

_Place = tuple[str, AddressState, str | None, tuple[str, ...]]


class Candidates:
    """Addresses that a create may take now; each is offered to one create at a time.

    `taken` are the keys that attempts in flight write. Candidates are drawn in batches, since with hundreds of
    creates in flight each would otherwise pass over all that the others have taken; what is drawn is checked again
    before it is offered. `ledger` is the view that is drawn from; its owner puts another one in its place after a
    new snapshot. `offset` is where this replica begins to look for free addresses, so that replicas on one
    store do not race for the same ones.
    """

    def __init__(self, ledger: Ledger, *, offset: int = 0) -> None:
        self.taken: set[str] = set()
        self.ledger = ledger
        self._offset = offset
        self._declared = ledger, ledger.declared_version
        self._records: dict[_Place, deque[Entry[Record]]] = {}
        self._free: dict[tuple[str, str], Iterator[str]] = {}
        self._up: tuple[str, ...] | None = None
        self._ranks: dict[str, int] = {}

    def record(
        self, account: str, state: AddressState, host: str | None, pools: tuple[str, ...]
    ) -> Entry[Record] | None:
        """A record of the account in a state, on a host or on any, in one of some pools; another one each time."""
        self._check_declared()
        place = (account, state, host, pools)
        stock = self._records.get(place)
        while stock:
            entry = stock.popleft()
            if entry.key not in self.taken and self.ledger.stands(entry):
                return entry
        queue = self.ledger.in_state(account, state, host=host)
        found = (entry for entry in queue if self.is_open(account, entry, pools))
        stock = deque(islice(found, _DRAW))
        if not stock:
            self._records.pop(place, None)
            return None
        self._records[place] = stock
        return stock.popleft()

    def is_open(self, account: str, entry: Entry[Record], pools: Iterable[str]) -> bool:
        """Whether a record is not taken and lies where new use is allowed."""
        record = entry.required
        if entry.key in self.taken or record.pool not in pools:
            return False
        pool = self.ledger.pools().get(record.pool)
        if pool is not None and not pool.required.draining:
            return True
        return not self.is_draining(record.pool, entry.key[len(record_key(account, "")) :])

    def is_draining(self, pool: str, logical: str) -> bool:
        """Whether an address lies in a prefix of its pool that gets no new use, or its pool is gone."""
        value = self.ledger.pool(pool).value
        if value is None:
            return True
        address = parse_address(logical)
        return any(parse_prefix(prefix).holds(address) for prefix in value.draining)

    def logical(self, account: str, pool: str, prefer: tuple[Prefix, ...]) -> str | None:
        """A free logical address of a pool that is declared; another one each time, until none is left."""
        if pool not in self.ledger.pools():
            return None
        return self._next((account, pool), lambda: self._logicals(account, pool, prefer))

    def physical(self, host: str) -> str | None:
        """A free physical address of a host that is up; another one each time, until none is left."""
        return self._next(("", host), lambda: self._physicals(host))

    def up_hosts(self) -> tuple[str, ...]:
        """The hosts that get new use, in ascending order."""
        self._check_declared()
        if self._up is None:
            self._up = tuple(sorted(host for host in self.ledger.hosts() if self.is_up(host)))
        return self._up

    def is_up(self, host: str) -> bool:
        """Whether a host gets new use."""
        entry = self.ledger.hosts().get(host)
        return entry is not None and entry.required.takes_use

    def rank(self, account: str) -> int:
        """The rank of an account's tier, 0 for the highest; what is not declared comes last."""
        self._check_declared()
        rank = self._ranks.get(account)
        if rank is None:
            try:
                rank = self.ledger.tier_of(account).rank
            except Invalid:
                rank = _RANK_LAST
            self._ranks[account] = rank
        return rank

    def _next(self, source: tuple[str, str], begin: Callable[[], Iterator[str]]) -> str | None:
        self._check_declared()
        going = self._free.get(source)
        found = next(going, None) if going is not None else None
        if found is None:
            # what was passed over since it was taken may be free again
            going = self._free[source] = begin()
            found = next(going, None)
            if found is None:
                del self._free[source]
        return found

    def _check_declared(self) -> None:
        ledger, version = self._declared
        if ledger is not self.ledger or version != ledger.declared_version:
            self._declared = self.ledger, self.ledger.declared_version
            self._records.clear()
            self._free.clear()
            self._up = None
            self._ranks.clear()

    def _logicals(self, account: str, pool: str, prefer: tuple[Prefix, ...]) -> Iterator[str]:
        for logical in self.ledger.free_logicals(account, pool, prefer=prefer, offset=self._offset):
            if record_key(account, logical) not in self.taken and pool_address_key(pool, logical) not in self.taken:
                yield logical

    def _physicals(self, host: str) -> Iterator[str]:
        for physical in self.ledger.free_physicals(host, offset=self._offset):
            if physical_key(physical) not in self.taken:
                yield physical
