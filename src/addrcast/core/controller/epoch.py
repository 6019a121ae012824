"""Duty: open a store that was restored, once every host has said what it has in its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from addrcast.core.controller.attachments import Heard, Settling
from addrcast.core.domain.record import EpochState, HostState
from addrcast.core.domain.transitions import Draft
from addrcast.core.propagation.audience import LostHosts, Wait, account_audience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import Compare


def unheard(ledger: Ledger, *, lost_hosts: LostHosts = LostHosts.LEFT_OUT) -> Iterator[Wait]:
    """The hosts that may have entries of the lost time in their tables.

    A host was heard once it joined and came up after the restore, whether or not the restored store says that it
    mirrors an account, and once it acknowledged every account that it does. Lost hosts are left out where every
    receiver checks.
    """
    restored = ledger.epoch.revision
    for host, entry in sorted(ledger.hosts().items()):
        is_left_out = entry.required.state is HostState.LOST and lost_hosts is LostHosts.LEFT_OUT
        is_back = entry.required.state is HostState.UP and entry.revision > restored
        if not (is_back or is_left_out):
            yield Wait(host, restored)
    for account in sorted(ledger.mirrored_accounts()):
        yield from account_audience(ledger, account, lost_hosts=lost_hosts).behind(0)


def opening(
    ledger: Ledger, *, fence: Compare, now_ms: int, lost_hosts: LostHosts = LostHosts.LEFT_OUT
) -> Iterator[Draft]:
    """The next transactions on a closed store's way to being open; none while a host is waited for.

    Once all hosts were heard, the records become what they have attached; the last transaction opens the store.
    """
    epoch = ledger.epoch
    if epoch.value is None or epoch.value.state is not EpochState.CLOSED:
        return
    if any(True for _ in unheard(ledger, lost_hosts=lost_hosts)):
        return
    heard = Heard(ledger)
    if heard.silent or heard.unknowing:
        return
    settling = Settling(ledger, heard, fence=fence, now_ms=now_ms)
    is_settled = True
    for draft in settling.drafts():
        is_settled = False
        yield draft
    if is_settled and not settling.pending:
        opened = msgspec.structs.replace(epoch.value, state=EpochState.OPEN)
        yield Draft((epoch,), ((epoch, opened),), fence)
