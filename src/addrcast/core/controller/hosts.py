"""Duties towards hosts: give up those without a sign of life, subscribe those that have addresses of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.record import AddressState, HostState
from addrcast.core.domain.transitions_host import host_lost, subscribe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.domain.ledger import Ledger
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


def missing_subscriptions(ledger: Ledger) -> Iterator[Draft]:
    """A subscription for every host that has, or will have, instances of an account and does not mirror it."""
    for account in ledger.accounts_with_records():
        hosts = {host for (state, host), count in ledger.places(account).items() if count and state in _SERVED}
        for host in sorted(host for host in hosts if host is not None):
            subscription = ledger.subscription(host, account)
            if host in ledger.hosts() and (subscription.value is None or subscription.value.is_leaving):
                yield subscribe(ledger.epoch, subscription)
