"""Who mirrors an account, and up to which revision each host has it in its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from addrcast.core.domain.record import Acknowledgement, Host, HostState

if TYPE_CHECKING:
    from addrcast.core.domain.ledger import Ledger


class LostHosts(Enum):
    """What becomes of lost hosts: left out where every receiver checks (VNI, logical), else waited for.

    `routes` and `bpf` tables check; with `nft` on any host, a lost host's stale entry could deliver to a stranger.
    """

    LEFT_OUT = "left out"
    WAITED_FOR = "waited for"


class Listener(NamedTuple):
    """A subscription of one account: the host, its key H (None: removed by an operator), its key A."""

    host: str
    state: Host | None
    acknowledgement: Acknowledgement | None


class Wait(NamedTuple):
    """A host that is waited for, and the revision of the account that it must have in its tables."""

    host: str
    revision: int

    def __str__(self) -> str:
        return f"waiting for host {self.host} at revision {self.revision}"


@dataclass(frozen=True, slots=True)
class Audience:
    """The hosts of one account: `counted` ones with the revision they have acknowledged (-1: none that is valid).

    `left_out` are lost hosts that are not waited for, and removed ones. Both are in ascending order of host.
    """

    counted: Mapping[str, int]
    left_out: tuple[str, ...]
    floor: int | None

    def behind(self, revision: int) -> tuple[Wait, ...]:
        """The counted hosts that do not have `revision` yet."""
        if self.floor is None or self.floor >= revision:
            return ()
        return tuple(Wait(host, revision) for host, applied in self.counted.items() if applied < revision)

    def has(self, host: str) -> bool:
        """Whether the host is subscribed, counted or not."""
        return host in self.counted or host in self.left_out


def audience_of(listeners: Iterable[Listener], *, epoch: int, lost_hosts: LostHosts) -> Audience:
    """Judge every subscription of an account.

    An acknowledgement counts only in the store's present epoch and for the host's present incarnation: an older
    one speaks of tables that may have been rebuilt since from an older state. A host that is draining, rejoining
    or leaving is counted until its subscription is gone.
    """
    counted: dict[str, int] = {}
    left_out: list[str] = []
    for host, state, acknowledgement in sorted(listeners, key=lambda listener: listener.host):
        if state is None or (state.state is HostState.LOST and lost_hosts is LostHosts.LEFT_OUT):
            left_out.append(host)
        elif acknowledgement is None or (acknowledgement.epoch, acknowledgement.incarnation) != (
            epoch,
            state.incarnation,
        ):
            counted[host] = -1
        else:
            counted[host] = acknowledgement.revision
    floor = min(counted.values(), default=None)
    return Audience(counted, tuple(left_out), floor)


def account_audience(ledger: Ledger, account: str, *, lost_hosts: LostHosts = LostHosts.LEFT_OUT) -> Audience:
    """The audience of an account as a ledger has it."""
    listeners = [
        Listener(host, ledger.host(host).value, ledger.acknowledgement(host, account).value)
        for host in ledger.subscriptions(account)
    ]
    return audience_of(listeners, epoch=ledger.epoch.required.epoch, lost_hosts=lost_hosts)
