"""Spreads an account's reservations over hosts: by their recent creates, as far as they have room."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class HostRoom(NamedTuple):
    """A host that takes new use: the account's recent creates there, and how many reservations it has room for."""

    host: str
    creates: int
    room: int
    is_preferred: bool = False


def spread(total: int, hosts: Iterable[HostRoom]) -> dict[str, int]:
    """Split `total` over the hosts in proportion to their creates, by largest remainder; ties go by host id.

    Preferred hosts are filled before any other. A host that is full passes its part on to the others, and hosts
    without creates share evenly what those with creates have no room for. The parts add up to `total`, or to all
    the room there is if that is less; hosts that get nothing are left out.
    """
    ordered = sorted(hosts)
    parts: dict[str, int] = {}
    for is_preferred in (True, False):
        for has_creates in (True, False):
            level = [
                host for host in ordered if host.is_preferred is is_preferred and (host.creates > 0) is has_creates
            ]
            parts |= _in_proportion(total - sum(parts.values()), level)
    return {host: part for host, part in sorted(parts.items()) if part}


def _in_proportion(total: int, hosts: Sequence[HostRoom]) -> dict[str, int]:
    parts: dict[str, int] = {}
    while hosts:
        weights = [max(host.creates, 1) for host in hosts]
        whole = sum(weights)
        full = [host for host, weight in zip(hosts, weights, strict=True) if total * weight >= host.room * whole]
        if not full:
            shares = [divmod(total * weight, whole) for weight in weights]
            parts |= {host.host: share for host, (share, _) in zip(hosts, shares, strict=True)}
            left = total - sum(share for share, _ in shares)
            by_remainder = sorted(zip(hosts, shares, strict=True), key=lambda pair: (-pair[1][1], pair[0].host))
            for host, _ in by_remainder[:left]:
                parts[host.host] += 1
            break
        parts |= {host.host: host.room for host in full}
        total -= sum(host.room for host in full)
        hosts = [host for host in hosts if host.host not in parts]
    return parts
