"""Duty: take back idle addresses past their age limit, or whose account, prefix or host is on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address, parse_prefix
from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import PoolKind
from addrcast.core.domain.transitions import Draft, age_out, end_of_hold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from addrcast.core.controller.territory import Territory
    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, Record
    from addrcast.core.domain.transaction import Compare
    from addrcast.core.propagation.stamps import FutureStamps

_ENDS = {AddressState.RESERVED: age_out, AddressState.PRESERVED: end_of_hold}


def give_back(ledger: Ledger, record: Entry[Record], *, fence: Compare, now_ms: int) -> Draft:
    """The transaction that lets an idle address cool."""
    return _ENDS[record.required.state](ledger.epoch, record, fence=fence, now_ms=now_ms)


class Drains:
    """What takes no new use, as a ledger has it: idle addresses there go back at once.

    A lost host's reservations go too, since nobody can use them there; what is preserved there waits for its
    account's instances as long as anywhere, on a host that was removed for the tier's hold.
    """

    def __init__(self, ledger: Ledger) -> None:
        hosts = {host: entry.required for host, entry in ledger.hosts().items()}
        self._hosts = {
            AddressState.PRESERVED: frozenset(host for host, value in hosts.items() if not value.is_draining),
            AddressState.RESERVED: frozenset(host for host, value in hosts.items() if value.will_take_use),
        }
        self._prefixes: dict[str, list[Prefix]] = {
            name: [parse_prefix(text) for text in entry.required.draining]
            for name, entry in ledger.pools().items()
            if entry.required.draining
        }
        self._physical = [
            parse_prefix(text)
            for entry in ledger.pools().values()
            if entry.required.kind is PoolKind.PHYSICAL
            for text in entry.required.draining
        ]
        self._removed = frozenset(
            name for kind, _, name in (key.partition(".") for key in ledger.removals()) if kind == "host"
        )
        self._is_calm = (
            len(self._hosts[AddressState.RESERVED]) == len(hosts) and not self._prefixes and not self._removed
        )

    @property
    def is_calm(self) -> bool:
        """Nothing drains and no host is lost."""
        return self._is_calm

    def take(self, record: Entry[Record], *, idle_ms: int, hold_ms: int) -> bool:
        """Whether an address that has been idle for so long is on its way out; `hold_ms` is its tier's."""
        value = record.required
        if value.host in self._removed and value.state is AddressState.PRESERVED:
            if idle_ms >= hold_ms:
                return True
        elif value.host not in self._hosts[value.state]:
            return True
        if self._physical and _lies_in(self._physical, value.physical):
            return True
        prefixes = self._prefixes.get(value.pool, ())
        return bool(prefixes) and _lies_in(prefixes, parts_of(record.key).second)


def _lies_in(prefixes: Sequence[Prefix], text: str) -> bool:
    address = parse_address(text)
    return any(prefix.holds(address) for prefix in prefixes)


def going_back(ledger: Ledger, stamps: FutureStamps, *, territory: Territory, now_ms: int) -> Iterator[Draft]:
    """The idle addresses of a territory that go back now, whatever a plan wants: past their age limit, or draining.

    An account that is not declared any more drains. What is unwanted goes by a plan, once its hold is over.
    """
    drains = Drains(ledger)
    tiers = ledger.tiers()
    for account in ledger.accounts_with_records():
        fence = territory.fence_of(account)
        if fence is None:
            continue
        declared = ledger.account(account).value
        tier = None if declared is None or declared.is_draining else tiers.get(declared.tier)
        limit_ms, hold_ms = (0, 0) if tier is None else (tier.age_limit_ms, tier.hold_ms)
        for state in _ENDS:
            for record in ledger.in_state(account, state):
                since_ms = stamps.capped_ms(record.key, record.revision, record.required.since_ms, now_ms)
                idle_ms = now_ms - since_ms
                if idle_ms >= limit_ms or drains.take(record, idle_ms=idle_ms, hold_ms=hold_ms):
                    yield give_back(ledger, record, fence=fence, now_ms=now_ms)
                elif drains.is_calm and record.key not in stamps:
                    break  # the others are younger
