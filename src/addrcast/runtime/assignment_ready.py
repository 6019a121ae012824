"""Whether all hosts of an account deliver to an instance's addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.propagation.audience import Audience, Listener, LostHosts, audience_of
from addrcast.core.propagation.ready import Readiness

if TYPE_CHECKING:
    from addrcast.core.assignment.answer import Created
    from addrcast.core.domain.ledger import Ledger


def audience(ledger: Ledger, account: str) -> Audience:
    """The hosts that mirror an account, lost ones left out: they deliver nothing anyway."""
    listeners = [
        Listener(host, ledger.host(host).value, ledger.acknowledgement(host, account).value)
        for host in ledger.subscriptions(account)
    ]
    return audience_of(listeners, epoch=ledger.epoch.required.epoch, lost_hosts=LostHosts.LEFT_OUT)


def readiness_of(ledger: Ledger, answer: Created) -> Readiness:
    """Which hosts the addresses of an answer still wait for, and which are left out."""
    hosts = audience(ledger, answer.account)
    return Readiness(hosts.behind(max(address.placed_revision for address in answer.addresses)), hosts.left_out)
