"""What every key of the store holds, kept up to date by a watch and by what is seen ahead of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import Entry, StoreEpoch
from addrcast.core.domain.resource import DEFAULT_TIERS, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from addrcast.core.domain.record import (
        Acknowledgement,
        Attachments,
        Host,
        HostReport,
        InstanceEntry,
        PhysicalHold,
        PoolAddress,
        Record,
        StoreMove,
        Subscription,
        Value,
    )
    from addrcast.core.domain.resource import Account, Declared, Pool, Removal
    from addrcast.core.domain.transaction import Change, KeyValue

V = TypeVar("V", bound="Value")

_LISTED = (
    keyspace.HOSTS,
    keyspace.ACCOUNTS,
    keyspace.POOLS,
    keyspace.TIERS,
    keyspace.REMOVALS,
    keyspace.HOST_REPORTS,
    keyspace.ATTACHMENTS,
)
_WHOLE_KEYS = frozenset({keyspace.EPOCH, keyspace.DECLARED, keyspace.MOVE})


class StoreView:
    """Everything known of the store at `revision`, and perhaps some of what came after.

    No key ever goes back to an older revision. Lookups of absent keys return absent entries. Mappings that are
    returned are good until the next change is taken in.
    """

    def __init__(self) -> None:
        self.revision = 0
        # counts changes of what is declared: after one, iterators of free addresses are void
        self.declared_version = 0
        self._entries: dict[str, Entry[Any]] = {}
        self._removed: dict[str, int] = {}  # keys whose removal was seen ahead of the watch
        self._learnt: deque[tuple[int, Entry[Any], Entry[Any]]] = deque()  # ahead of the watch: when, before, after
        self._listed: dict[str, dict[str, Entry[Any]]] = {kind: {} for kind in _LISTED}

    @classmethod
    def from_items(cls, items: Iterable[KeyValue], revision: int) -> Self:
        """The view of a snapshot taken at `revision`. Raises Invalid for a value that cannot be read."""
        view = cls()
        view.load(items)
        view.revision = revision
        return view

    def load(self, items: Iterable[KeyValue]) -> None:
        """Take in a part of a snapshot; its revision is the caller's to set. Raises Invalid."""
        for item in items:
            self._decode(item.key, item.value, item.mod_revision, item.create_revision)

    def apply(self, change: Change) -> None:
        """Take in the next change of the watch; one that is not newer than `revision` says nothing new."""
        if change.revision <= self.revision:
            return
        for event in change.events:
            self._decode(event.key, event.value, event.mod_revision, event.create_revision)
        self.revision = change.revision
        if self._removed:
            self._removed = {key: at for key, at in self._removed.items() if at > change.revision}
        while self._learnt and self._learnt[0][0] <= change.revision:
            self._learnt.popleft()

    def is_undone_by(self, change: Change) -> bool:
        """Whether a change of the watch begins another epoch.

        The store was restored then, perhaps to a later revision than this view has come to; what was seen or learnt
        may be of the time that this undid, so that the view is to be read anew.
        """
        known = self.epoch.value
        for event in change.events:
            if event.key == keyspace.EPOCH and event.value is not None and known is not None:
                epoch = decode(event.key, event.value)
                return isinstance(epoch, StoreEpoch) and epoch.epoch != known.epoch
        return False

    def learn(
        self, entries: Iterable[Entry[Any]], revision: int, *, under: Entry[StoreEpoch] | None = None
    ) -> None:
        """Take in what stood at `revision`, ahead of the watch: own commits, or what a failed compare showed.

        An absent entry was absent then. `revision` of the view stays; what is not newer is left out. `under` is the
        epoch that an own commit compared: what was written in another than the view's, a restore has undone.
        """
        if under is not None and under.value is not None:
            known = self.epoch.value
            if known is not None and known.epoch != under.value.epoch:
                return
        for entry in entries:
            key = entry.key
            at = revision if entry.value is None else entry.revision
            before = self._entries.get(key)
            if at <= self.revision or at <= (self._removed.get(key, 0) if before is None else before.revision):
                continue
            self._learnt.append((at, Entry(key) if before is None else before, entry))
            self._put(key, entry if entry.value is not None else None)
            if entry.value is None:
                self._removed[key] = at

    def ahead(self) -> Iterator[Entry[Any]]:
        """What was learnt ahead of the watch, and what it took the place of.

        With it, the view may be of no one moment of the store.
        """
        for at, before, after in self._learnt:
            if at > self.revision:
                yield before
                yield after

    def items(self, kind: str) -> Iterator[tuple[str, Entry[Any]]]:
        """All entries of a kind with the rest of their key; looks at every key of the view."""
        for key, entry in self._entries.items():
            if key.startswith(kind):
                yield key[len(kind) :], entry

    def _known(self, key: str) -> int:
        before = self._entries.get(key)
        return before.revision if before is not None else self._removed.get(key, 0)

    def _decode(self, key: str, value: bytes | None, revision: int, created: int) -> None:
        if revision <= self._known(key):
            return
        if value is None:
            self._put(key, None)
        elif key.startswith(keyspace.HOSTS_ALIVE):
            self._put(key, Entry(key, value, revision, created))
        elif key[: key.find(".") + 1] in keyspace.VALUE_TYPES or key in _WHOLE_KEYS:
            self._put(key, Entry(key, decode(key, value), revision, created))

    def _put(self, key: str, after: Entry[Any] | None) -> None:
        before = self._entries.get(key)
        if after is not None:
            self._entries[key] = after
        elif before is not None:
            del self._entries[key]
        else:
            return
        word, dot, rest = key.partition(".")
        kind = word + dot
        if kind in self._listed:
            self.declared_version += 1
            if after is not None:
                self._listed[kind][rest] = after
            else:
                del self._listed[kind][rest]
        self._index(kind, rest, before, after)

    def _index(self, kind: str, rest: str, before: Entry[Any] | None, after: Entry[Any] | None) -> None:
        """What a view with indexes does when a key comes, changes or goes."""

    def _get(self, key: str) -> Entry[Any]:
        entry = self._entries.get(key)
        return Entry(key) if entry is None else entry

    def entry(self, key: str) -> Entry[Any]:
        """What is known of any key."""
        return self._get(key)

    def stands(self, entry: Entry[Any]) -> bool:
        """Whether an entry that was handed out is what stands at its key still."""
        return self._entries.get(entry.key) is entry

    @property
    def epoch(self) -> Entry[StoreEpoch]:
        """E."""
        return self._get(keyspace.EPOCH)

    @property
    def declared(self) -> Entry[Declared]:
        """What every declaration compares."""
        return self._get(keyspace.DECLARED)

    def removal(self, kind: str, name: str) -> Entry[Removal]:
        """Whether an `account`, `host` or `pool` is on its way out."""
        return self._get(keyspace.removal_key(kind, name))

    def removals(self) -> Mapping[str, Entry[Removal]]:
        """What is on its way out, by `<kind>.<name>`."""
        return self._listed[keyspace.REMOVALS]

    @property
    def move(self) -> Entry[StoreMove]:
        """Where this store comes from or goes to, while it does."""
        return self._get(keyspace.MOVE)

    def host_report(self, host: str) -> Entry[HostReport]:
        """How much a host knows of its attachments."""
        return self._get(keyspace.host_report_key(host))

    def attachments(self) -> Mapping[str, Entry[Attachments]]:
        """What hosts have attached, by `<host>.<account>`."""
        return self._listed[keyspace.ATTACHMENTS]

    def record(self, account: str, logical: str) -> Entry[Record]:
        """R of (account, logical)."""
        return self._get(keyspace.record_key(account, logical))

    def physical(self, physical: str) -> Entry[PhysicalHold]:
        """P of a physical address."""
        return self._get(keyspace.physical_key(physical))

    def instance(self, account: str, instance: str) -> Entry[InstanceEntry]:
        """I of an account's instance."""
        return self._get(keyspace.instance_key(account, instance))

    def pool_address(self, pool: str, logical: str) -> Entry[PoolAddress]:
        """Q of an address of a shared pool."""
        return self._get(keyspace.pool_address_key(pool, logical))

    def subscription(self, host: str, account: str) -> Entry[Subscription]:
        """S of a host for an account."""
        return self._get(keyspace.subscription_key(host, account))

    def acknowledgement(self, host: str, account: str) -> Entry[Acknowledgement]:
        """A of a host for an account."""
        return self._get(keyspace.acknowledgement_key(host, account))

    def is_alive(self, host: str) -> bool:
        """Whether the host's leased key is there."""
        return keyspace.host_alive_key(host) in self._entries

    def host(self, host: str) -> Entry[Host]:
        """H of a host."""
        return self._get(keyspace.host_key(host))

    def hosts(self) -> Mapping[str, Entry[Host]]:
        """All hosts by id."""
        return self._listed[keyspace.HOSTS]

    def account(self, account: str) -> Entry[Account]:
        """An account as it is declared."""
        return self._get(keyspace.account_key(account))

    def accounts(self) -> Mapping[str, Entry[Account]]:
        """All declared accounts by id."""
        return self._listed[keyspace.ACCOUNTS]

    def pool(self, pool: str) -> Entry[Pool]:
        """A pool as it is declared."""
        return self._get(keyspace.pool_key(pool))

    def pools(self) -> Mapping[str, Entry[Pool]]:
        """All declared pools by id."""
        return self._listed[keyspace.POOLS]

    def tier(self, tier: str) -> Entry[Tier]:
        """A tier as it is declared; the default tiers need not be."""
        return self._get(keyspace.tier_key(tier))

    def tiers(self) -> Mapping[str, Tier]:
        """What every tier grants: the declared ones, and the default ones that are not declared."""
        declared = {name: entry.required for name, entry in self._listed[keyspace.TIERS].items()}
        return {**DEFAULT_TIERS, **declared}

    def tier_of(self, account: str) -> Tier:
        """What the tier of a declared account grants. Raises Invalid where there is no such account or tier."""
        entry = self.account(account)
        if entry.value is None:
            raise Invalid("account", account, "no account of this name is declared")
        name = entry.value.tier
        tier = self.tier(name).value or DEFAULT_TIERS.get(name)
        if tier is None:
            raise Invalid("tier", name, f"declare it, or use one of {', '.join(DEFAULT_TIERS)}")
        return tier
