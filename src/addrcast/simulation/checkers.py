"""What a checker sees of the store: every change, one by one, against the rules between keys."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from addrcast.core.dataplane.compile import mapped_physical
from addrcast.core.domain import keyspace
from addrcast.core.domain.codec import decode
from addrcast.core.domain.identity import unescape_instance
from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.record import (
    AddressState,
    HoldState,
    Host,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from addrcast.core.domain.transaction import Change, KeyValue

Name = tuple[str, str]
"""An account, and a logical address or an instance of it."""


class Broken(Exception):
    """An invariant was violated: which one, and how."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


class Truth:
    """The store as it really is, kept by every change; raises Broken at the first that violates a rule.

    `history` has, for each (account, logical), where hosts shall deliver from which revision on, None for nowhere.
    The callbacks tell other checkers what has changed, after the rules here were kept.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.records: dict[Name, Record] = {}
        self.holds: dict[str, PhysicalHold] = {}
        self.instances: dict[Name, InstanceEntry] = {}
        self.claims: dict[Name, str] = {}
        self.hosts: dict[str, Host] = {}
        self.subscriptions: set[Name] = set()
        self.history: dict[Name, list[str | None]] = defaultdict(list)
        self.owners: dict[str, Name] = {}
        self.on_owner: list[Callable[[Name, Record, Record | None], None]] = []
        self.on_record: list[Callable[[Name, Record | None, Record | None], None]] = []
        self.on_instance: list[Callable[[Name, InstanceEntry | None], None]] = []
        self.on_host: list[Callable[[str, Host | None], None]] = []

    def load(self, items: Iterable[KeyValue], revision: int) -> None:
        """Begin anew from what a store holds, as after a restore."""
        for known in (self.records, self.holds, self.instances, self.claims, self.hosts, self.history, self.owners):
            known.clear()
        self.subscriptions.clear()
        self.revision = revision
        for item in items:
            self._put(item.key, item.value)

    def see(self, change: Change) -> None:
        """Take in one change and judge it. Raises Broken."""
        self.revision = change.revision
        records: list[tuple[Name, Record | None]] = []
        for event in change.events:
            kind, first, second = parts_of(event.key)
            if kind == keyspace.RECORDS:
                records.append(((first, second), self.records.get((first, second))))
            self._put(event.key, event.value)
        for name, before in records:
            self._check_record(name, before)
        for event in change.events:
            self._check_other(event.key)

    def _put(self, key: str, data: bytes | None) -> None:
        kind, first, second = parts_of(key)
        name = (first, second)
        if kind == keyspace.SUBSCRIPTIONS:
            (self.subscriptions.add if data is not None else self.subscriptions.discard)(name)
        value: Any = None
        if data is not None and kind in keyspace.VALUE_TYPES:
            value = decode(key, data)
        if kind == keyspace.RECORDS:
            self._put_record(name, value)
        elif kind == keyspace.PHYSICALS:
            _set(self.holds, first, value)
        elif kind == keyspace.INSTANCES:
            _set(self.instances, (first, unescape_instance(second)), value)
        elif kind == keyspace.POOL_ADDRESSES:
            _set(self.claims, name, value.account if isinstance(value, PoolAddress) else None)
        elif kind == keyspace.HOSTS:
            _set(self.hosts, first, value)

    def _put_record(self, name: Name, record: Record | None) -> None:
        before = self.records.get(name)
        if before is not None and self.owners.get(before.physical) == name:
            del self.owners[before.physical]
        _set(self.records, name, record)
        if record is not None:
            other = self.owners.setdefault(record.physical, name)
            if other != name:
                raise Broken("one owner", f"{record.physical} has two, {other} and {name}")
        mapped = None if record is None else mapped_physical(record)
        steps = self.history[name]
        if not steps or steps[-1] != mapped:
            steps.append(mapped)

    def _check_record(self, name: Name, before: Record | None) -> None:
        record = self.records.get(name)
        if record is None:
            if before is not None:
                self._check_gone(name, before)
        else:
            hold = self.holds.get(record.physical)
            is_held = hold is not None and hold.state is HoldState.HELD
            if hold is None or not is_held or (hold.account, hold.logical) != name:
                raise Broken("one owner", f"{record.physical} is not held for its record {name}")
            if record.is_shared and self.claims.get((record.pool, name[1])) != name[0]:
                raise Broken("one owner", f"{name[1]} of shared pool {record.pool} is not claimed by {name[0]}")
            if record.state is AddressState.BOUND:
                self._check_bound(name, record)
            if before is None or before.physical != record.physical:
                for tell in self.on_owner:
                    tell(name, record, before)
        was_bound = before is not None and before.state is AddressState.BOUND
        if before is not None and was_bound and (record is None or record.state is not AddressState.BOUND):
            entry = self.instances.get((name[0], before.instance))
            if entry is not None and entry.state is InstanceState.BOUND and name[1] in entry.addresses:
                raise Broken("bindings", f"{name} was taken from {before.instance}, which still has it")
        for changed in self.on_record:
            changed(name, before, record)

    def _check_gone(self, name: Name, before: Record) -> None:
        if before.state is not AddressState.COOLING:
            raise Broken("no leak", f"{name} was {before.state.value} and is gone")
        if before.physical in self.holds:
            raise Broken("no leak", f"{before.physical} is still held for {name}, which is gone")

    def _check_bound(self, name: Name, record: Record) -> None:
        entry = self.instances.get((name[0], record.instance))
        if entry is None or entry.state is not InstanceState.BOUND or name[1] not in entry.addresses:
            raise Broken("bindings", f"{name} is bound to {record.instance}, which does not have it")
        if entry.attempt != record.attempt:
            raise Broken("bindings", f"{name} is of attempt {record.attempt}, its instance of {entry.attempt}")

    def _check_other(self, key: str) -> None:
        kind, first, second = parts_of(key)
        if kind == keyspace.PHYSICALS:
            hold = self.holds.get(first)
            owner = self.owners.get(first)
            if hold is None and owner is not None:
                raise Broken("no leak", f"{first} is free while {owner} has it")
            if hold is not None and hold.state is HoldState.HELD and owner != (hold.account, hold.logical):
                raise Broken("no leak", f"{first} is held for {hold.account} {hold.logical}, {owner} has it")
            if hold is not None and hold.state is HoldState.COOLING and owner is not None:
                raise Broken("one owner", f"{first} cools while {owner} has it")
        elif kind == keyspace.INSTANCES:
            instance = (first, unescape_instance(second))
            entry = self.instances.get(instance)
            if entry is not None and entry.state is InstanceState.BOUND:
                self._check_addresses(instance, entry)
            for tell in self.on_instance:
                tell(instance, entry)
        elif kind == keyspace.POOL_ADDRESSES:
            account = self.claims.get((first, second))
            if account is not None and (account, second) not in self.records:
                raise Broken("no leak", f"{second} of shared pool {first} is claimed without a record")
        elif kind == keyspace.HOSTS:
            for told in self.on_host:
                told(first, self.hosts.get(first))

    def _check_addresses(self, instance: Name, entry: InstanceEntry) -> None:
        for logical in entry.addresses:
            record = self.records.get((instance[0], logical))
            if record is None or record.state is not AddressState.BOUND or record.instance != instance[1]:
                raise Broken("bindings", f"{instance} has {logical}, which is not bound to it")


def _set(known: dict[Any, Any], name: object, value: object) -> None:
    if value is None:
        known.pop(name, None)
    else:
        known[name] = value
