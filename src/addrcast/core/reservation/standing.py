"""How an account stands in the ledger: its pools by family, what it holds idle, what its tier and quota allow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.address import Family, parse_address, parse_prefix
from addrcast.core.domain.keyspace import records_of
from addrcast.core.domain.record import AddressState
from addrcast.core.reservation.aging import Idle
from addrcast.core.reservation.plan_input import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.resource import Account, Tier


@dataclass(frozen=True, slots=True)
class Standing:
    """A declared account, as the ledger has it now.

    `pools` are its logical pools by family, in order of preference. An instance takes one address of each family,
    so a target holds in each, and the quota is shared by them.
    """

    name: str
    account: Account
    tier: Tier
    pools: Mapping[Family, Sequence[str]]
    reserved: Mapping[Family, Sequence[Idle]]
    preserved: Sequence[Idle]
    usage: int

    @property
    def quota_room(self) -> int:
        """How many more addresses of each family the quota allows."""
        if self.account.quota is None:
            return UNLIMITED
        return max(self.account.quota - self.usage, 0) // max(len(self.pools), 1)

    @property
    def preferred_prefixes(self) -> list[Prefix]:
        """The prefixes that the account asks to be used first."""
        return [parse_prefix(text) for text in self.account.preferences.prefixes]


def standing_of(ledger: Ledger, name: str) -> Standing | None:
    """How an account stands; None where it is not declared any more. Raises Invalid for a tier without meaning."""
    account = ledger.account(name).value
    if account is None:
        return None
    pools: dict[Family, list[str]] = defaultdict(list)
    for pool_name in account.pools:
        pool = ledger.pool(pool_name).value
        if pool is not None:
            pools[parse_prefix(pool.prefixes[0]).family].append(pool_name)
    reserved: dict[Family, list[Idle]] = defaultdict(list)
    for idle in _idle(ledger, name, AddressState.RESERVED):
        reserved[parse_address(idle.logical).family].append(idle)
    return Standing(
        name,
        account,
        ledger.tier_of(name),
        pools,
        reserved,
        _idle(ledger, name, AddressState.PRESERVED),
        ledger.usage(name),
    )


def _idle(ledger: Ledger, name: str, state: AddressState) -> list[Idle]:
    prefix = len(records_of(name))
    return [
        Idle(entry.key[prefix:], entry.required.host, entry.required.since_ms)
        for entry in ledger.in_state(name, state)
    ]
