"""The records of all accounts by state, host and former instance, and the idle ones that a create may take back."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from addrcast.core.domain.age_queue import AgeQueue
from addrcast.core.domain.record import AddressState, Entry, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Place = tuple[AddressState, str | None]  # None: on any host

_EMPTY: AgeQueue[Record] = AgeQueue()


class AccountRecords:
    """The records of one account: by logical address, by state and host; preserved ones by instance."""

    __slots__ = ("by_logical", "by_place", "preserved")

    def __init__(self) -> None:
        self.by_logical: dict[str, Entry[Record]] = {}
        self.by_place: dict[Place, AgeQueue[Record]] = {}
        self.preserved: dict[str, dict[str, Entry[Record]]] = {}

    def put(self, logical: str, entry: Entry[Record]) -> None:
        """Take in a record whose former version, if any, has been removed."""
        record = entry.required
        self.by_logical[logical] = entry
        for place in ((record.state, None), (record.state, record.host)):
            queue = self.by_place.get(place)
            if queue is None:
                queue = self.by_place[place] = AgeQueue()
            queue.put(entry)
        if record.state is AddressState.PRESERVED:
            self.preserved.setdefault(record.instance, {})[logical] = entry

    def remove(self, logical: str) -> None:
        """Drop the record of `logical`."""
        entry = self.by_logical.pop(logical)
        record = entry.required
        for place in ((record.state, None), (record.state, record.host)):
            if not self.by_place[place].remove(entry.key):
                del self.by_place[place]
        if record.state is AddressState.PRESERVED:
            former = self.preserved[record.instance]
            del former[logical]
            if not former:
                del self.preserved[record.instance]


class RecordIndex:
    """Records of all accounts; `update` keeps every order and index, each in constant time."""

    def __init__(self) -> None:
        self.cooling: AgeQueue[Record] = AgeQueue()
        self._accounts: dict[str, AccountRecords] = {}
        self._tiers: dict[str, str] = {}
        self._idle_on_host: dict[str, dict[str, AgeQueue[Record]]] = defaultdict(lambda: defaultdict(AgeQueue))
        self._idle_in_pool: dict[str, dict[str, AgeQueue[Record]]] = defaultdict(lambda: defaultdict(AgeQueue))

    def update(self, account: str, logical: str, after: Entry[Record] | None) -> None:
        """Make `after` the record of (account, logical), or none where it is None."""
        records = self._accounts.get(account)
        if records is None:
            records = self._accounts[account] = AccountRecords()
        before = records.by_logical.get(logical)
        if before is not None:
            records.remove(logical)
            self._forget(account, before)
        if after is not None:
            records.put(logical, after)
            self._note(account, after)
        elif not records.by_logical:
            del self._accounts[account]

    def set_tier(self, account: str, tier: str) -> None:
        """Count the account's idle reservations under `tier` from now on."""
        reserved = list(self.in_state(account, AddressState.RESERVED))
        for entry in reserved:
            self._forget(account, entry)
        self._tiers[account] = tier
        for entry in reserved:
            self._note(account, entry)

    def accounts(self) -> Iterator[str]:
        """Accounts that have records."""
        return iter(self._accounts)

    def of_account(self, account: str) -> Mapping[str, Entry[Record]]:
        """An account's records by logical address."""
        records = self._accounts.get(account)
        return records.by_logical if records else {}

    def in_state(self, account: str, state: AddressState, *, host: str | None = None) -> AgeQueue[Record]:
        """An account's records in a state, on one host or on all, oldest change first."""
        records = self._accounts.get(account)
        return records.by_place.get((state, host), _EMPTY) if records else _EMPTY

    def places(self, account: str) -> dict[Place, int]:
        """How many records an account has in each state on each host, and on all of them (None)."""
        records = self._accounts.get(account)
        return {place: len(entries) for place, entries in records.by_place.items()} if records else {}

    def preserved(self, account: str, instance: str) -> Mapping[str, Entry[Record]]:
        """The preserved records whose last owner was `instance`, by logical address."""
        records = self._accounts.get(account)
        return records.preserved.get(instance, {}) if records else {}

    def idle(self, *, host: str | None = None, pool: str | None = None) -> Mapping[str, AgeQueue[Record]]:
        """Reserved records of all accounts by tier: those on a host, or those in a pool that accounts share."""
        found = self._idle_on_host.get(host) if host is not None else self._idle_in_pool.get(pool or "")
        return found or {}

    def _note(self, account: str, entry: Entry[Record]) -> None:
        record = entry.required
        if record.state is AddressState.COOLING:
            self.cooling.put(entry)
        elif record.state is AddressState.RESERVED:
            tier = self._tiers.get(account, "")
            self._idle_on_host[record.host][tier].put(entry)
            if record.is_shared:
                self._idle_in_pool[record.pool][tier].put(entry)

    def _forget(self, account: str, entry: Entry[Record]) -> None:
        record = entry.required
        if record.state is AddressState.COOLING:
            self.cooling.remove(entry.key)
        elif record.state is AddressState.RESERVED:
            tier = self._tiers.get(account, "")
            self._idle_on_host[record.host][tier].remove(entry.key)
            if record.is_shared:
                self._idle_in_pool[record.pool][tier].remove(entry.key)
