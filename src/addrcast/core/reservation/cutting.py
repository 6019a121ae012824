"""Cuts the steps of one account after the other: what it lacks, and what it gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from addrcast.core.reservation.free_pairs import FreePairs
from addrcast.core.reservation.host_shares import HostShares
from addrcast.core.reservation.pool_room import PoolRoom
from addrcast.core.reservation.standing import standing_of
from addrcast.core.reservation.surplus import Why, lasting, preserved_to_give_back, reservations_to_give_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.core.domain.address import Family
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.reservation.plan import Plan
    from addrcast.core.reservation.standing import Standing
    from addrcast.core.reservation.surplus import Idle


class ReserveStep(msgspec.Struct, frozen=True):
    """A free pair to hold ready for an account; the physical address lies in a block of `host`."""

    account: str
    pool: str
    logical: str
    physical: str
    host: str


class GiveBackStep(msgspec.Struct, frozen=True):
    """A reserved or preserved address of an account that is to cool, and why."""

    account: str
    logical: str
    why: Why


class Cutter:
    """Cuts the steps of one batch, in which no address is used twice.

    An instance takes an address of each family that its account has, so a target holds in each. What ends without
    a plan is not given back here: what is past its age limit, on a host that is lost or drains, or of an account
    that drains or is gone. Of reservations it is known, so that what replaces them is there before they go.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        recent_creates: Mapping[str, Mapping[str, int]],
        *,
        now_ms: int,
        is_forced: bool,
        offset: int,
    ) -> None:
        self._given = plan.given
        self._targets = plan.given.reserved + plan.allowed_delta(is_forced=is_forced)
        self._let_go = plan.allowed_let_go(is_forced=is_forced)
        self._ledger = ledger
        self._pairs = FreePairs(ledger, offset=offset)
        self._shares = HostShares(ledger, self._pairs, recent_creates)
        self._room = PoolRoom(plan.given, ledger)
        self._now_ms = now_ms

    def reserves(self, row: int) -> list[ReserveStep]:
        """The pairs that an account lacks, as far as its pools, its quota and the hosts have room now."""
        standing = standing_of(self._ledger, self._given.accounts[row])
        if standing is None:
            return []
        target = int(self._targets[row])
        room = min(self._room.of(row), standing.quota_room)
        by_family = []
        for family in standing.pools:
            shares, staying = self._shares_and_staying(standing, family, target)
            for idle in staying:
                shares[idle.host] -= 1
            # a reservation that is replaced has its physical address until it has cooled
            lacks = {
                host: self._pairs.room_on(host, family, enough=lack) for host, lack in shares.items() if lack > 0
            }
            hosts = _by_lack(lacks)[: min(room, target - len(staying))]
            by_family.append(self._steps(standing, family, hosts))
        self._room.take(row, max(map(len, by_family), default=0))
        return [step for steps in by_family for step in steps]

    def give_backs(self, row: int) -> list[GiveBackStep]:
        """The surplus that an account gives back: of its reservations first, then of what it has preserved."""
        standing = standing_of(self._ledger, self._given.accounts[row])
        if standing is None:
            return []
        target = int(self._targets[row])
        steps = []
        for family in standing.reserved:
            shares, staying = self._shares_and_staying(standing, family, target)
            surplus = reservations_to_give_back(staying, target=target, shares=shares)
            steps += [GiveBackStep(standing.name, idle.logical, Why.RESERVED) for idle in surplus]
        if self._let_go[row]:
            keep = int(self._given.preserved[row] - self._let_go[row])
            until_ms = self._now_ms - standing.tier.hold_ms
            for preserved in standing.preserved.values():
                surplus = preserved_to_give_back(preserved, keep=keep, until_ms=until_ms)
                steps += [GiveBackStep(standing.name, idle.logical, Why.PRESERVED) for idle in surplus]
        return steps

    def _shares_and_staying(
        self, standing: Standing, family: Family, target: int
    ) -> tuple[dict[str, int], list[Idle]]:
        shares = self._shares.of(standing, family, target)
        after_ms = self._given.settings.replaced_until_ms(standing.tier, self._now_ms)
        return shares, lasting(standing.reserved.get(family, ()), hosts=shares, after_ms=after_ms)

    def _steps(self, standing: Standing, family: Family, hosts: list[str]) -> list[ReserveStep]:
        preferences = standing.account.preferences
        steps: list[ReserveStep] = []
        for pool in standing.pools[family]:
            if len(steps) == len(hosts):
                break
            logicals = self._pairs.take_logicals(
                standing.name,
                pool,
                len(hosts) - len(steps),
                prefer=standing.preferred_prefixes,
                is_contiguous=preferences.is_contiguous,
            )
            for logical in logicals:
                host = hosts[len(steps)]
                physical = self._pairs.take_physical(host, family)
                steps.append(ReserveStep(standing.name, pool, logical, physical, host))
        return steps


def _by_lack(lacks: Mapping[str, int]) -> list[str]:
    """Each host as often as it lacks a reservation, the one that lacks most first."""
    ordered = sorted(lacks.items(), key=lambda item: (-item[1], item[0]))
    return [host for host, lack in ordered for _ in range(lack)]
