"""The transitions of hosts: lost, rejoining, up; subscriptions and acknowledgements.

A host that drains does so in whatever state it comes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import HOSTS, host_alive_key
from addrcast.core.domain.record import Acknowledgement, Entry, Host, HostState, StoreEpoch, Subscription
from addrcast.core.domain.transitions import Draft, mirroring

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import Compare


def host_lost(epoch: Entry[StoreEpoch], host: Entry[Host], *, fence: Compare) -> Draft:
    """Give up waiting for a host whose sign of life is gone; its acknowledgements are void from here on."""
    value = host.required
    lost = msgspec.structs.replace(value, state=HostState.LOST, incarnation=value.incarnation + 1)
    alive: Entry[Host] = Entry(host_alive_key(host.key[len(HOSTS) :]))
    return Draft((epoch, host, alive), ((host, lost),), fence)


def host_rejoins(epoch: Entry[StoreEpoch], host: Entry[Host]) -> Draft:
    """A host comes (back) and is waited for again, before it takes the snapshot that it will acknowledge."""
    value = host.required
    rejoining = msgspec.structs.replace(value, state=HostState.REJOINING, incarnation=value.incarnation + 1)
    return Draft((epoch, host), ((host, rejoining),))


def host_up(epoch: Entry[StoreEpoch], host: Entry[Host]) -> Draft:
    """A rejoining host has the snapshot in its tables and takes new use, unless it drains."""
    value = host.required
    if value.state is not HostState.REJOINING:
        raise Invalid(host.key, value.state.value, "only a rejoining host comes up")
    return Draft((epoch, host), ((host, msgspec.structs.replace(value, state=HostState.UP)),))


def acknowledge(
    epoch: Entry[StoreEpoch],
    host: Entry[Host],
    subscription: Entry[Subscription],
    acknowledgement: Entry[Acknowledgement],
    *,
    revision: int,
) -> Draft:
    """An account is complete in the host's tables up to `revision`; `host` is the agent's own incarnation.

    The subscription must stand: landing after its end, an acknowledgement would vouch for an empty table.
    """
    applied = Acknowledgement(epoch=epoch.required.epoch, revision=revision, incarnation=host.required.incarnation)
    return Draft((epoch, host, subscription), ((acknowledgement, applied),))


def subscribe(epoch: Entry[StoreEpoch], subscription: Entry[Subscription]) -> Draft:
    """A host mirrors an account from here on; it takes its snapshot afterwards."""
    return Draft((epoch, subscription), mirroring(subscription))


def idle(epoch: Entry[StoreEpoch], subscription: Entry[Subscription]) -> Draft:
    """A host has nothing of an account and may leave it: whoever places something there writes S from here on."""
    return Draft((epoch, subscription), ((subscription, Subscription(is_idle=True)),))


def leave(epoch: Entry[StoreEpoch], subscription: Entry[Subscription]) -> Draft:
    """A host begins to leave an account: it clears its tables next, and is waited for until it unsubscribes.

    The caller has seen, at the revision of the idle subscription or later, that no record of the account lies on
    the host. Then none does while S is leaving: a record comes to a host only by a transaction that compares S, and
    that writes it where it is idle.
    """
    if not subscription.required.is_idle:
        raise Invalid(subscription.key, "in use", "a subscription is marked as idle before its host leaves")
    return Draft((epoch, subscription), ((subscription, Subscription(is_leaving=True)),))


def unsubscribe(
    epoch: Entry[StoreEpoch], subscription: Entry[Subscription], acknowledgement: Entry[Acknowledgement]
) -> Draft:
    """A host has cleared its tables of an account.

    Its acknowledgement goes with the subscription: kept, it would vouch for an empty table after a return.
    """
    if not subscription.required.is_leaving:
        raise Invalid(subscription.key, "subscribed", "a host marks that it leaves before it unsubscribes")
    return Draft((epoch, subscription), ((subscription, None), (acknowledgement, None)))
