"""Duty: open a store that was restored, once every host has said what it has in its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.keyspace import SUBSCRIPTIONS
from addrcast.core.domain.record import EpochState
from addrcast.core.domain.transitions import Draft
from addrcast.core.propagation.audience import LostHosts, Wait, account_audience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import Compare


def unheard(ledger: Ledger) -> Iterator[tuple[str, Wait]]:
    """The accounts and hosts without an acknowledgement in the present epoch; lost hosts are left out.

    Looks at every key of the ledger.
    """
    for account in sorted({rest.partition(".")[2] for rest, _ in ledger.items(SUBSCRIPTIONS)}):
        audience = account_audience(ledger, account, lost_hosts=LostHosts.LEFT_OUT)
        for wait in audience.behind(0):
            yield account, wait


def opened(ledger: Ledger, *, fence: Compare) -> Draft | None:
    """The transaction that opens a closed store; None while a host is unheard, or where it is not closed."""
    epoch = ledger.epoch
    if epoch.value is None or epoch.value.state is not EpochState.CLOSED or any(unheard(ledger)):
        return None
    return Draft((epoch,), ((epoch, msgspec.structs.replace(epoch.value, state=EpochState.OPEN)),), fence)
