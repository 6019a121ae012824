"""The accounts of one host: which it serves, and what the store says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from addrcast.core.agent.account import UNKNOWN_REVISION, ServedAccount
from addrcast.core.agent.messages import AccountScanned
from addrcast.core.agent.programming import Programming
from addrcast.core.domain.codec import entry_of
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import (
    EPOCH,
    SUBSCRIPTIONS,
    WholeKey,
    account_key,
    host_key,
    parts_of,
    records_of,
)
from addrcast.core.domain.record import AddressState, Entry, Record, Subscription, Value
from addrcast.core.domain.resource import Account
from addrcast.core.domain.transaction import Event, KeyValue
from addrcast.core.propagation.mirror import Snapshot

V = TypeVar("V", bound=Value)


def entry_after(kind: type[V], event: Event) -> Entry[V]:
    """What stands at the key of a change once it has happened. Raises Invalid."""
    if event.value is None:
        return Entry(event.key)
    return entry_of(kind, event.key, KeyValue(event.key, event.value, event.create_revision, event.mod_revision))


class Serving:
    """Owns the accounts by name; what changes in them goes to `programming`.

    Invariant: whatever the kernel has of an account is in its mirror, or its virtual network is to be removed, or
    it is in what the agent found at its start. So an account is never called complete over entries it forgot.
    """

    __slots__ = ("_programming", "accounts")

    def __init__(self, programming: Programming) -> None:
        self.accounts = programming.accounts
        self._programming = programming

    def prefixes(self, host: str) -> tuple[str, ...]:
        """What to watch, but for accounts that may not be read: one of those would end the watch for all.

        The prefix of a name matches longer names too; who takes the changes leaves those out.
        """
        prefixes = [WholeKey(EPOCH), WholeKey(host_key(host)), f"{SUBSCRIPTIONS}{host}."]
        for name, account in sorted(self.accounts.items()):
            if not account.denials:
                prefixes += [WholeKey(account_key(name)), records_of(name)]
        return tuple(prefixes)

    def subscribe_all(self, subscriptions: Mapping[str, Entry[Subscription]]) -> list[str]:
        """These are all subscriptions there are; answers with the accounts that are served no more."""
        dropped = [name for name in self.accounts if name not in subscriptions]
        for name in dropped:
            self.drop(name)
        for name, subscription in subscriptions.items():
            self.serve(name, subscription)
        return dropped

    def serve(self, name: str, subscription: Entry[Subscription]) -> ServedAccount:
        """An account is subscribed to, or its subscription has changed."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = ServedAccount(name, self._programming.settings)
        account.subscription = subscription
        return account

    def drop(self, name: str) -> None:
        """An account is subscribed to no more."""
        self.clear(self.accounts.pop(name))

    def clear(self, account: ServedAccount) -> bool:
        """Take an account out of the kernel; true while something of it is there."""
        if account.vni is not None and self._is_there(account, account.vni):
            self._programming.remove(account.vni, leaving=account.name)
            account.forget()
        return account.vni in self._programming.removals

    def adopt(self, scanned: AccountScanned) -> list[str]:
        """Take an account's snapshot; answers with what could not be read.

        Raises: Stale where it is older than what is known.
        """
        account = self.accounts[scanned.cause.account]
        present = self._declare(account, scanned.declaration.value)
        faults: dict[str, Invalid] = {}
        records = _readable(scanned, faults)
        snapshot = Snapshot(scanned.epoch.required.epoch, scanned.revision, records, unread=faults.keys())
        account.adopt(snapshot, present=present)
        account.unreadable = dict.fromkeys(faults, UNKNOWN_REVISION)
        self._programming.touch(account.name)
        return [str(fault) for fault in faults.values()]

    def change(self, account: ServedAccount, event: Event) -> list[str]:
        """Take a change of a record; answers with what could not be read.

        Such a record keeps its entry as it was, and the account stays incomplete at its revision.
        """
        logical = parts_of(event.key).second
        try:
            record = entry_after(Record, event).value
        except Invalid as fault:
            account.unreadable[logical] = event.mod_revision
            return [str(fault)]
        account.change(logical, record, event.mod_revision)
        if record is not None and (
            record.state is AddressState.COOLING
            or (record.state is AddressState.BOUND and record.placed_revision == 0)
        ):
            account.awaited.append(event.mod_revision)
        self._programming.touch(account.name)
        return []

    def _declare(self, account: ServedAccount, declared: Account | None) -> dict[str, str] | None:
        """Learn an account's virtual network; answers with what the kernel had of it when the agent started."""
        if declared is None or (declared.vni == account.vni and account.is_ensured):
            return None
        if account.vni is not None and account.vni != declared.vni:
            if self._is_there(account, account.vni):
                self._programming.remove(account.vni)
            account.mark_all()
        account.vni = declared.vni
        present = self._programming.found.pop(declared.vni, None)
        account.is_ensured = present is not None
        return present

    def _is_there(self, account: ServedAccount, vni: int) -> bool:
        return vni not in self._programming.removals and (account.is_ensured or self._programming.is_flying(vni))


def _readable(scanned: AccountScanned, faults: dict[str, Invalid]) -> Iterator[tuple[str, Record]]:
    for item in scanned.records:
        logical = parts_of(item.key).second
        try:
            yield logical, entry_of(Record, item.key, item).required
        except Invalid as fault:
            faults[logical] = fault
