"""Duties towards hosts: give up the silent ones, subscribe those with addresses of an account, let others leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.record import AddressState, HostState
from addrcast.core.domain.transitions_host import host_lost, idle, leave, subscribe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.territory import Territory
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, Subscription
    from addrcast.core.domain.transaction import Compare
    from addrcast.core.domain.transitions import Draft

_SERVED = frozenset({AddressState.RESERVED, AddressState.BOUND, AddressState.PRESERVED})


class SignsOfLife:
    """Since when each host has had none, by this process's own clock.

    A change of the host's key begins the time anew: a host that has just come back writes it before its sign of
    life may be seen. A new leader begins anew for all, which errs on the side of waiting.
    """

    __slots__ = ("_missing",)

    def __init__(self) -> None:
        self._missing: dict[str, tuple[int, int]] = {}

    def lost(self, ledger: Ledger, *, fence: Compare, host_lost_ms: int, now_ms: int) -> Iterator[Draft]:
        """The hosts that are to be given up."""
        self._missing = {
            host: self._since(host, entry.revision, now_ms)
            for host, entry in sorted(ledger.hosts().items())
            if entry.required.state is not HostState.LOST and not ledger.is_alive(host)
        }
        for host, (_, since_ms) in self._missing.items():
            if since_ms + host_lost_ms <= now_ms:
                yield host_lost(ledger.epoch, ledger.host(host), fence=fence)

    def _since(self, host: str, revision: int, now_ms: int) -> tuple[int, int]:
        known = self._missing.get(host)
        return known if known is not None and known[0] == revision else (revision, now_ms)


class IdleHosts:
    """Since when each host has had nothing of an account that it mirrors, by this process's own clock.

    Every host that mirrors an account is waited for whenever an address of it cools, so those that have no more to
    do with it are to leave. They do in two steps, `idle` and `leave`, and the second wants a view of the first: in
    it is what was placed there until then, and what is placed later takes the mark away.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, int]] = {}

    def leaving(self, ledger: Ledger, *, territory: Territory, leave_after_ms: int, now_ms: int) -> Iterator[Draft]:
        """The next step of every host that has had nothing for so long; cooling addresses are something, too."""
        found = list(_unused(ledger, territory))
        self._since = {entry.key: self._since_when(entry, now_ms) for entry in found if entry.required.stands}
        for entry in found:
            if not entry.required.stands:
                if entry.revision <= ledger.revision:
                    yield leave(ledger.epoch, entry)
            elif self._since[entry.key][1] + leave_after_ms <= now_ms:
                yield idle(ledger.epoch, entry)

    def _since_when(self, entry: Entry[Subscription], now_ms: int) -> tuple[int, int]:
        known = self._since.get(entry.key)
        return known if known is not None and known[0] == entry.revision else (entry.revision, now_ms)


def _unused(ledger: Ledger, territory: Territory) -> Iterator[Entry[Subscription]]:
    for account in filter(territory.has, ledger.mirrored_accounts()):
        used = {host for (_, host), count in ledger.places(account).items() if count}
        for host, subscription in ledger.subscriptions(account).items():
            if host not in used and not subscription.required.is_leaving:
                yield subscription


def missing_subscription(ledger: Ledger, host: str, account: str) -> Draft | None:
    """The transaction that lets a host mirror an account; None where its subscription stands."""
    subscription = ledger.subscription(host, account)
    is_missing = subscription.value is None or not subscription.value.stands
    return subscribe(ledger.epoch, subscription) if is_missing else None


def missing_subscriptions(ledger: Ledger, territory: Territory) -> Iterator[Draft]:
    """A subscription for every host that has, or will have, instances of an account and does not mirror it."""
    for account in filter(territory.has, ledger.accounts_with_records()):
        hosts = {host for (state, host), count in ledger.places(account).items() if count and state in _SERVED}
        for host in sorted(host for host in hosts if host is not None):
            draft = missing_subscription(ledger, host, account)
            if draft is not None and host in ledger.hosts():
                yield draft
