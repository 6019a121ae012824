"""Which hosts an account's reservations should lie on, and how many on each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from zlib import crc32

from addrcast.core.reservation.placement import HostRoom, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from addrcast.core.domain.address import Family
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.reservation.free_pairs import FreePairs
    from addrcast.core.reservation.standing import Standing


class HostShares:
    """Spreads accounts over the hosts that take new use; `recent_creates` are counts by account and host."""

    def __init__(self, ledger: Ledger, pairs: FreePairs, recent_creates: Mapping[str, Mapping[str, int]]) -> None:
        self._ledger = ledger
        self._pairs = pairs
        self._recent_creates = recent_creates
        hosts = {host: entry.required for host, entry in ledger.hosts().items()}
        self._up = sorted(host for host, value in hosts.items() if value.takes_use)
        self._takes_use = frozenset(self._up)
        self._keeps = frozenset(host for host, value in hosts.items() if value.will_take_use)

    def of(self, standing: Standing, family: Family, target: int) -> dict[str, int]:
        """How many of `target` reservations of a family should lie on each host.

        Hosts that the account asks for, creates on or already has reservations on come first; only where they have
        too little room are others used: those that mirror it, then any, from a place on that differs by account.
        Hosts that hold some now and should hold none have share 0, and so has one that is about to return; hosts
        that are lost, drain or are gone are left out.
        """
        creates = self._recent_creates.get(standing.name, {})
        preferred = standing.account.preferences.hosts
        held = Counter(idle.host for idle in standing.reserved.get(family, ()))
        first = sorted({*creates, *preferred, *held} & self._takes_use)
        rooms = [
            HostRoom(host, creates.get(host, 0), self._room(host, family, held, target), host in preferred)
            for host in first
        ]
        room = sum(host.room for host in rooms)
        others = self._others(standing.name)
        while room < target and (host := next(others, None)) is not None:
            if host not in first:
                rooms.append(HostRoom(host, 0, self._room(host, family, held, target - room)))
                room += rooms[-1].room
        return dict.fromkeys(sorted(held.keys() & self._keeps), 0) | spread(target, rooms)

    def _room(self, host: str, family: Family, held: Counter[str], enough: int) -> int:
        return held[host] + self._pairs.room_on(host, family, enough=enough)

    def _others(self, account: str) -> Iterator[str]:
        mirrors = self._takes_use & self._ledger.subscriptions(account).keys()
        yield from sorted(mirrors)
        start = crc32(account.encode()) % max(len(self._up), 1)
        for host in self._up[start:] + self._up[:start]:
            if host not in mirrors:
                yield host
