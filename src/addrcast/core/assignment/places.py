"""On which hosts a create tries its luck, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.record import AddressState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from addrcast.core.assignment.candidates import Candidates
    from addrcast.core.assignment.request import CreateRequest
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, Record
    from addrcast.core.domain.resource import Account

HOST_RETRY_MS = 5_000


def check_host(ledger: Ledger, host: str) -> None:
    """Raise Invalid for a host that is not declared, Unavailable for one that gets no new use."""
    entry = ledger.hosts().get(host)
    if entry is None:
        raise Invalid("host", host, "no host of this name is declared")
    value = entry.required
    if not value.takes_use:
        state = "draining" if value.is_draining else value.state.value
        raise Unavailable(f"host {host} is {state}", retry_after_ms=HOST_RETRY_MS)


def hosts_for(
    candidates: Candidates,
    request: CreateRequest,
    account: Account,
    records: Sequence[Entry[Record]],
    *,
    is_scarce: bool,
) -> Iterable[str]:
    """Hosts that are up: the asked one, else where the instance was, where the account has most held ready, where
    it prefers to be, the emptier of two drawn by the instance's name, and then all that have a free address.

    `records` are those of the bound instance, none where it is not bound.
    """
    if request.host:
        return (request.host,)
    former = records or candidates.ledger.preserved(request.account, request.instance).values()
    were_at = [record.required.host for record in former]
    return _each_up(candidates, _in_order(candidates, request, account, were_at, is_scarce=is_scarce))


def _each_up(candidates: Candidates, hosts: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for host in hosts:
        if host not in seen and candidates.is_up(host):
            seen.add(host)
            yield host


def _in_order(
    candidates: Candidates, request: CreateRequest, account: Account, were_at: Iterable[str], *, is_scarce: bool
) -> Iterator[str]:
    ledger = candidates.ledger
    yield from were_at
    yield from _hosts_with(ledger, request.account, (AddressState.RESERVED, AddressState.PRESERVED))
    if is_scarce:
        yield from _hosts_with(ledger, request.account, (AddressState.COOLING,))
    for host in account.preferences.hosts:
        if ledger.free_count(host):
            yield host
    up = candidates.up_hosts()
    if up:
        number = crc32(f"{request.account}.{request.instance}".encode())
        yield max(up[number % len(up)], up[number // len(up) % len(up)], key=ledger.free_count)
    yield from sorted((host for host in up if ledger.free_count(host)), key=ledger.free_count, reverse=True)


def _hosts_with(ledger: Ledger, account: str, states: tuple[AddressState, ...]) -> list[str]:
    counts: dict[str, int] = {}
    for (state, host), count in ledger.places(account).items():
        if host is not None and state in states:
            counts[host] = counts.get(host, 0) + count
    return sorted(counts, key=lambda host: (-counts[host], host))
