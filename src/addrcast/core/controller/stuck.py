"""What ought to have moved on and did not: acknowledgements left behind, cooling and tombstones without an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from addrcast.core.controller.cooling import CoolingJudge
from addrcast.core.domain.finding import Finding
from addrcast.core.domain.keyspace import acknowledgement_key, parts_of, subscription_key
from addrcast.core.domain.record import EpochState, HostState
from addrcast.core.domain.resource import MINUTE_MS
from addrcast.core.propagation.audience import account_audience
from addrcast.core.propagation.cooling import CoolingReason
from addrcast.core.propagation.stamps import FutureStamps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.controller.settings import ControllerSettings
    from addrcast.core.domain.ledger import Ledger

NAMED_MAX = 3
GRACE_MS = MINUTE_MS


class Stuck(NamedTuple):
    """A finding that counts only if it stands in a second look, with the key still at the same `revision`."""

    finding: Finding
    revision: int


def stuck(ledger: Ledger, settings: ControllerSettings, *, now_ms: int) -> Iterator[Stuck]:
    """What waits in a ledger, as it stands at one time. Nothing in a frozen store: nothing moves there."""
    if ledger.epoch.value is None or ledger.epoch.value.state is EpochState.FROZEN:
        return
    yield from _cooling(ledger, settings, now_ms)
    yield from _acknowledgements(ledger, settings)
    if ledger.epoch.value.state is EpochState.OPEN:
        yield from _tombstones(ledger, settings, now_ms)


def _cooling(ledger: Ledger, settings: ControllerSettings, now_ms: int) -> Iterator[Stuck]:
    judge = CoolingJudge(ledger, settings, FutureStamps(skew_max_ms=settings.skew_max_ms), now_ms=now_ms)
    for entry, verdict, _ in judge.judged():
        if verdict.is_over:
            finding = Finding("cooling", (entry.key,), "its cooling is over, and nobody frees it")
            yield Stuck(finding, entry.revision)
        elif CoolingReason.HOST in verdict.reasons:
            hosts = [wait.host for wait in verdict.waits]
            named = ", ".join(hosts[:NAMED_MAX]) + (" ..." if len(hosts) > NAMED_MAX else "")
            what = f"it cools and waits for {len(hosts)} hosts to acknowledge: {named}"
            yield Stuck(Finding("cooling", (entry.key,), what), entry.revision)


def _acknowledgements(ledger: Ledger, settings: ControllerSettings) -> Iterator[Stuck]:
    for account in ledger.mirrored_accounts():
        audience = account_audience(ledger, account, lost_hosts=settings.lost_hosts)
        newest = max((record.revision for record in ledger.records(account).values()), default=0)
        for host, applied in audience.counted.items():
            if ledger.host(host).required.state is not HostState.UP or applied >= newest:
                continue
            entry = ledger.acknowledgement(host, account)
            what = f"it has acknowledged revision {applied}, the account is at {newest}"
            if applied < 0:
                what = f"host {host} is up and mirrors account {account}, and has acknowledged nothing of it"
            keys = subscription_key(host, account), acknowledgement_key(host, account)
            yield Stuck(Finding("acknowledgement", keys, what), entry.revision)


def _tombstones(ledger: Ledger, settings: ControllerSettings, now_ms: int) -> Iterator[Stuck]:
    for entry in ledger.tombstones():
        if entry.required.since_ms + settings.tombstone_ms + GRACE_MS <= now_ms:
            account = parts_of(entry.key).first
            what = f"a deleted instance of account {account} is remembered though no late message can come"
            yield Stuck(Finding("tombstone", (entry.key,), what), entry.revision)
