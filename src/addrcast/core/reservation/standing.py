"""How an account stands in the ledger: pools and idle addresses by family, what its tier and quota allow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.address import Family, parse_address, parse_prefix
from addrcast.core.domain.keyspace import records_of
from addrcast.core.domain.record import AddressState
from addrcast.core.reservation.plan_input import UNLIMITED
from addrcast.core.reservation.surplus import Idle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from addrcast.core.domain.address import Prefix
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.resource import Account, Tier


@dataclass(frozen=True, slots=True)
class Standing:
    """An account that takes new use, as the ledger has it now.

    `pools` are its logical pools by family, in order of preference. An instance takes one address of each family,
    so a target holds in each, and the quota is shared by them.
    """

    name: str
    account: Account
    tier: Tier
    pools: Mapping[Family, Sequence[str]]
    reserved: Mapping[Family, Sequence[Idle]]
    preserved: Mapping[Family, Sequence[Idle]]
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
    """How an account stands; None where it is not declared any more or drains: what it holds goes without a plan.

    Raises Invalid for a tier without meaning.
    """
    account = ledger.account(name).value
    if account is None or account.is_draining:
        return None
    pools: dict[Family, list[str]] = defaultdict(list)
    for pool_name in account.pools:
        pool = ledger.pool(pool_name).value
        if pool is not None:
            pools[parse_prefix(pool.prefixes[0]).family].append(pool_name)
    return Standing(
        name,
        account,
        ledger.tier_of(name),
        pools,
        _idle(ledger, name, AddressState.RESERVED),
        _idle(ledger, name, AddressState.PRESERVED),
        ledger.usage(name),
    )


def _idle(ledger: Ledger, name: str, state: AddressState) -> dict[Family, list[Idle]]:
    prefix = len(records_of(name))
    found: dict[Family, list[Idle]] = defaultdict(list)
    for entry in ledger.in_state(name, state):
        logical = entry.key[prefix:]
        found[parse_address(logical).family].append(Idle(logical, entry.required.host, entry.required.since_ms))
    return found
