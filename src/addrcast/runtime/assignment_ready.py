"""Whether all hosts of an account deliver to an instance's addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.propagation.audience import account_audience
from addrcast.core.propagation.ready import Readiness, readiness_at

if TYPE_CHECKING:
    from addrcast.core.assignment.answer import Created
    from addrcast.core.domain.ledger import Ledger


def readiness_of(ledger: Ledger, answer: Created) -> Readiness:
    """Which hosts the addresses of an answer, all on one host, still wait for, and which are left out as lost."""
    last = max(answer.addresses, key=lambda address: address.placed_revision)
    return readiness_at(last.host, last.placed_revision, account_audience(ledger, answer.account))
