"""What the cooling addresses of each account wait for, in figures for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from addrcast.core.controller.cooling import CoolingJudge
from addrcast.core.domain.keyspace import PHYSICALS, parts_of
from addrcast.core.propagation.stamps import FutureStamps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.propagation.cooling import CoolingReason


@dataclass(slots=True)
class CoolingWaits:
    """Of one account: how many addresses cool, records and physical ones that a record left.

    `over` of them wait for nothing but the controller. `reasons` and `hosts` count the addresses that each reason
    applies to and each host holds up; an address may have several of both. `due_ms` is when the last of the least
    times ends, None where all have.
    """

    addresses: int = 0
    over: int = 0
    reasons: Counter[CoolingReason] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    due_ms: int | None = None

    def lines(self) -> Iterator[str]:
        """The same for a person to read, hosts that hold up most addresses first."""
        yield f"{self.addresses:,} addresses cool, {self.over:,} of them about to be free"
        for reason, count in sorted(self.reasons.items(), key=lambda item: item[0].name):
            yield f"{reason.value}: {count:,}"
        for host, count in sorted(self.hosts.items(), key=lambda item: (-item[1], item[0])):
            yield f"host {host} holds up {count:,}"


def cooling_waits(ledger: Ledger, settings: ControllerSettings, *, now_ms: int) -> dict[str, CoolingWaits]:
    """What cools in each account, by account; accounts of which nothing cools are not in it.

    Judges every cooling address as the controller does, but for what an operator ended and for stamps that it saw
    earlier: one in the future counts from `now_ms`.
    """
    found: dict[str, CoolingWaits] = {}
    judge = CoolingJudge(ledger, settings, FutureStamps(skew_max_ms=settings.skew_max_ms), now_ms=now_ms)
    for entry, verdict, _ in judge.judged():
        account = entry.required.account if entry.key.startswith(PHYSICALS) else parts_of(entry.key).first
        waits = found.setdefault(account, CoolingWaits())
        waits.addresses += 1
        waits.over += verdict.is_over
        waits.reasons.update(verdict.reasons)
        waits.hosts.update(wait.host for wait in verdict.waits)
        if verdict.due_ms is not None:
            waits.due_ms = max(verdict.due_ms, waits.due_ms or 0)
    return dict(sorted(found.items()))
