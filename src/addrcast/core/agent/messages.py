"""What an agent is told and what it asks for; every answer bears the effect that it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from addrcast.core.dataplane.table import Rejected, Table, TableEntry, TableKey
from addrcast.core.domain.codec import entry_of
from addrcast.core.domain.keyspace import (
    EPOCH,
    RECORDS,
    SUBSCRIPTIONS,
    WholeKey,
    account_key,
    host_key,
    host_report_key,
    parts_of,
    records_of,
)
from addrcast.core.domain.record import Attached, Entry, Host, HostReport, StoreEpoch, Subscription
from addrcast.core.domain.resource import Account
from addrcast.core.domain.transaction import Change, KeyValue, Result, Transaction


@dataclass(frozen=True, slots=True)
class ReadHost:
    """Read this host's key and report and the store's epoch. Answered by HostRead or Away."""

    term: int
    host: str

    @property
    def keys(self) -> tuple[str, str, str]:
        """What to read, at one revision."""
        return host_key(self.host), EPOCH, host_report_key(self.host)

    def answer(self, items: Iterable[KeyValue]) -> HostRead:
        """What was read. Raises Invalid for a value that a newer version wrote."""
        found = {item.key: item for item in items}
        host, epoch, report = self.keys
        return HostRead(
            self,
            entry_of(Host, host, found.get(host)),
            entry_of(StoreEpoch, epoch, found.get(epoch)),
            entry_of(HostReport, report, found.get(report)),
        )


@dataclass(frozen=True, slots=True)
class ListSubscriptions:
    """Read all of this host's subscriptions, its key and the epoch. Answered by SubscriptionsListed or Away."""

    term: int
    host: str

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What to read, at one revision."""
        return WholeKey(EPOCH), WholeKey(host_key(self.host)), f"{SUBSCRIPTIONS}{self.host}."

    def answer(self, revision: int, items: Iterable[KeyValue]) -> SubscriptionsListed:
        """What was read; keys of hosts with a longer name are left out. Raises Invalid."""
        found = {item.key: item for item in items}
        host = host_key(self.host)
        listed = [
            (parts_of(key).second, entry_of(Subscription, key, item))
            for key, item in found.items()
            if key.startswith(SUBSCRIPTIONS)
        ]
        return SubscriptionsListed(
            self,
            revision,
            entry_of(Host, host, found.get(host)),
            entry_of(StoreEpoch, EPOCH, found.get(EPOCH)),
            tuple(listed),
        )


@dataclass(frozen=True, slots=True)
class ScanAccount:
    """Read an account, its records and the epoch, all at one revision. Answered by AccountScanned or Away."""

    term: int
    account: str
    number: int

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What to read, at one revision."""
        return WholeKey(EPOCH), WholeKey(account_key(self.account)), records_of(self.account)

    def answer(self, revision: int, items: Iterable[KeyValue]) -> AccountScanned:
        """What was read; keys of accounts with a longer name are left out. Raises Invalid."""
        found = {item.key: item for item in items}
        declaration = account_key(self.account)
        return AccountScanned(
            self,
            entry_of(StoreEpoch, EPOCH, found.get(EPOCH)),
            revision,
            entry_of(Account, declaration, found.get(declaration)),
            tuple(item for item in found.values() if item.key.startswith(RECORDS)),
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch these keys and prefixes after a revision, in place of any earlier watch. Changed, Compacted or Away."""

    term: int
    number: int
    prefixes: tuple[str, ...]
    after_revision: int


class Purpose(Enum):
    """What a transaction of the agent is for."""

    REJOIN = "rejoin"
    REPORT = "report what is attached"
    TURN_UP = "turn up"
    ACKNOWLEDGE = "acknowledge"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit transactions, each by itself. Answered by Committed or Away.

    `accounts` names, for acknowledgements, the account and the revision of each transaction.
    """

    term: int
    purpose: Purpose
    transactions: tuple[Transaction, ...]
    accounts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """Change the kernel table: ensure accounts, upsert, delete, remove accounts, in this order. Programmed."""

    ensured: tuple[int, ...] = ()
    upserts: tuple[TableEntry, ...] = ()
    deletes: tuple[TableKey, ...] = ()
    removed: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ensured or self.upserts or self.deletes or self.removed)


@dataclass(frozen=True, slots=True)
class DumpTable:
    """Read the kernel table back. Answered by Dumped; where the kernel is away, by Dumped without a table."""


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the operator what is wrong."""

    what: str


@dataclass(frozen=True, slots=True)
class Started:
    """The agent's process begins."""


@dataclass(frozen=True, slots=True)
class AttachmentsKnown:
    """What instances this host has attached, by account; before it comes for the first time, that is not known."""

    attached: Mapping[str, tuple[Attached, ...]]


@dataclass(frozen=True, slots=True)
class HostRead:
    """This host's key, the epoch and this host's report, each absent or as it stands."""

    cause: ReadHost
    host: Entry[Host]
    epoch: Entry[StoreEpoch]
    report: Entry[HostReport]


@dataclass(frozen=True, slots=True)
class SubscriptionsListed:
    """All subscriptions of this host at a revision, with its key and the epoch, each absent or as it stands."""

    cause: ListSubscriptions
    revision: int
    host: Entry[Host]
    epoch: Entry[StoreEpoch]
    subscriptions: tuple[tuple[str, Entry[Subscription]], ...]


@dataclass(frozen=True, slots=True)
class AccountScanned:
    """An account at one revision: the epoch, its declaration (absent or not), the items of its records."""

    cause: ScanAccount
    epoch: Entry[StoreEpoch]
    revision: int
    declaration: Entry[Account]
    records: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """The watch brought a revision."""

    cause: Watch
    change: Change


@dataclass(frozen=True, slots=True)
class Compacted:
    """The watch cannot go on without a gap."""

    cause: Watch


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of the transactions, in their order."""

    cause: Commit
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Away:
    """The store did not answer; what was asked for may have happened where it was a commit."""

    cause: Request


@dataclass(frozen=True, slots=True)
class Denied:
    """The store does not allow it to this host; nothing has happened."""

    cause: Request
    why: str


@dataclass(frozen=True, slots=True)
class Programmed:
    """The kernel has all that was asked for but `rejected`; `failed` are VNIs not ensured, or not removed."""

    cause: Program
    rejected: tuple[Rejected, ...] = ()
    failed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Dumped:
    """The kernel table as it is; None where it could not be read."""

    table: Table | None


@dataclass(frozen=True, slots=True)
class Disturbed:
    """Something else than this agent changed our entries, or may have."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing but the passing of time: the deadline was reached."""


Request = ReadHost | ListSubscriptions | ScanAccount | Watch | Commit
Effect = Request | Program | DumpTable | Report
Answer = HostRead | SubscriptionsListed | AccountScanned | Changed | Compacted | Committed | Away | Denied
Event = Started | AttachmentsKnown | Answer | Programmed | Dumped | Disturbed | Tick
