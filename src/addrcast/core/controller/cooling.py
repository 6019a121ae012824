"""Duty: free the addresses that no counted host maps any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.transitions import Draft, end_of_cooling, end_of_old_physical
from addrcast.core.propagation.audience import account_audience
from addrcast.core.propagation.cooling import CoolingVerdict, cooling_of_physical, cooling_of_record, cooling_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.controller.territory import Territory
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry
    from addrcast.core.propagation.audience import Audience
    from addrcast.core.propagation.cooling import Cooling
    from addrcast.core.propagation.stamps import FutureStamps


class Judged(NamedTuple):
    """A cooling R or P, the verdict on it, and the transaction that ends it."""

    entry: Entry[Any]
    verdict: CoolingVerdict
    end: Draft


class CoolingJudge:
    """Judges what cools in a ledger, as it stands at one time: everything, or what is of a territory."""

    def __init__(
        self,
        ledger: Ledger,
        settings: ControllerSettings,
        stamps: FutureStamps,
        *,
        now_ms: int,
        overridden: frozenset[str] = frozenset(),
        territory: Territory | None = None,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._stamps = stamps
        self._now_ms = now_ms
        self._overridden = overridden
        self._territory = territory
        self._audiences: dict[str, Audience] = {}
        self._tiers = ledger.tiers()
        self._longest_ms = max(tier.cooldown_ms for tier in self._tiers.values())

    def judged(self) -> Iterator[Judged]:
        """Every cooling record, then every physical address that a record left; oldest first.

        What was learnt ahead of the watch is left out: a subscription older than the cooling might not be seen yet.
        """
        skew_max_ms = self._settings.skew_max_ms
        for record in self._ledger.cooling_records():
            account = parts_of(record.key).first
            if not self._has(account):
                continue
            cooling = cooling_of_record(record, cooldown_ms=self._cooldown_ms(account), skew_max_ms=skew_max_ms)
            if record.revision <= self._ledger.revision:
                verdict = self._verdict(account, cooling)
                yield Judged(record, verdict, end_of_cooling(self._ledger.epoch, record))
        for hold in self._ledger.cooling_physicals():
            account = hold.required.account
            if not self._has(account):
                continue
            cooling = cooling_of_physical(hold, cooldown_ms=self._cooldown_ms(account), skew_max_ms=skew_max_ms)
            if hold.revision <= self._ledger.revision:
                verdict = self._verdict(account, cooling)
                yield Judged(hold, verdict, end_of_old_physical(self._ledger.epoch, hold))

    def _has(self, account: str) -> bool:
        return self._territory is None or self._territory.has(account)

    def _verdict(self, account: str, cooling: Cooling) -> CoolingVerdict:
        if account not in self._audiences:
            lost_hosts = self._settings.lost_hosts
            self._audiences[account] = account_audience(self._ledger, account, lost_hosts=lost_hosts)
        since_ms = self._stamps.capped_ms(cooling.key, cooling.revision, cooling.since_ms, self._now_ms)
        return cooling_over(
            replace(cooling, since_ms=since_ms),
            self._audiences[account],
            now_ms=self._now_ms,
            overridden=self._overridden,
        )

    def _cooldown_ms(self, account: str) -> int:
        declared = self._ledger.account(account).value
        tier = None if declared is None else self._tiers.get(declared.tier)
        # an account can be removed while its last addresses cool: the longest of all tiers is safe for it
        return self._longest_ms if tier is None else tier.cooldown_ms
