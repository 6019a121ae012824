"""What this kernel and these rights allow: every backend's needs tried out, with the reason where one is lacking.

Nothing is looked up by version or module: each need is tried in a network namespace that is thrown away.
"""

from __future__ import annotations

import errno
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.adapters.kernel import bpf_probe
from addrcast.adapters.kernel.namespace import leave_for_new, sysctl
from addrcast.adapters.kernel.netlink_link import (
    add_link,
    get_link,
    lower,
    macvlan_passthru,
    set_up,
    take_vni,
    veth,
    vxlan_gpe,
    vxlan_plain,
)
from addrcast.adapters.kernel.netlink_route import RTM_NEWNEXTHOP, lone_nexthop
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PORT = 4790


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a backend needs, in words, and how to try it in a namespace of its own. Raises OSError."""

    what: str
    attempt: Callable[[NetlinkSocket], None]


@dataclass(frozen=True, slots=True)
class Offer:
    """A backend, or a variant of one: usable, or what it lacks and why."""

    backend: str
    is_usable: bool
    reason: str


def _gpe(netlink: NetlinkSocket) -> None:
    add_link(netlink, "gpe", vxlan_gpe(port=_PORT))
    link = get_link(netlink, "gpe")
    take_vni(netlink, link.number, 1)
    set_up(netlink, link.number)


def _plain(netlink: NetlinkSocket) -> None:
    add_link(netlink, "plain", vxlan_plain(1, port=4789, is_over_ipv6=False))
    below = get_link(netlink, "plain")
    add_link(netlink, "above", macvlan_passthru(), lower(below.number))


def _nexthop(netlink: NetlinkSocket) -> None:
    loopback = get_link(netlink, "lo").number
    set_up(netlink, loopback)
    netlink.request(RTM_NEWNEXTHOP, 0x400, lone_nexthop(loopback))


def _veth(netlink: NetlinkSocket) -> None:
    add_link(netlink, "one", veth(b""))


def _forwarding(netlink: NetlinkSocket) -> None:
    del netlink
    sysctl("ipv4/ip_forward", 1)
    sysctl("ipv6/conf/all/forwarding", 1)


_COMMON = (
    Need("IPv4 and IPv6 forwarding can be switched on", _forwarding),
    Need("nexthop objects of the family IPv6 (Linux 5.3)", _nexthop),
    Need("veth pairs", _veth),
)
BACKENDS: dict[str, Sequence[Need]] = {
    "routes": (Need("VXLAN devices with GPE and a VNI filter (Linux 5.18)", _gpe), *_COMMON),
    "routes, plain": (Need("VXLAN devices and macvlan in passthru mode", _plain), *_COMMON),
    "bpf": (Need("BPF programs on interfaces (tcx, Linux 6.6)", bpf_probe.attempt), Need("veth pairs", _veth)),
}
"""What each backend needs, in the order in which they are preferred."""


def probe() -> tuple[Offer, ...]:
    """Try every backend's needs; the offers in the order of preference. Takes milliseconds, changes nothing."""
    offers: list[Offer] = []

    def attempt() -> None:  # in a thread, which never comes back out of the namespaces that it makes
        offers.extend(_offer(backend, needs) for backend, needs in BACKENDS.items())

    thread = threading.Thread(target=attempt, name="probe")
    thread.start()
    thread.join()
    return tuple(offers)


def choice(offers: Sequence[Offer]) -> tuple[str | None, str]:
    """The first backend that is usable, or None; and why it is that one, for people."""
    refused = [f"{offer.backend}: {offer.reason}" for offer in offers if not offer.is_usable]
    for offer in offers:
        if offer.is_usable:
            before = refused[: offers.index(offer)]
            return offer.backend, "; ".join([f"{offer.backend}: everything it needs is there", *before])
    return None, "no kernel table can be used here: " + "; ".join(refused)


def _offer(backend: str, needs: Sequence[Need]) -> Offer:
    try:
        leave_for_new()
        netlink = NetlinkSocket()
    except OSError as error:
        return Offer(backend, is_usable=False, reason=_why("a network namespace of its own", error))
    with closing(netlink):
        for need in needs:
            try:
                need.attempt(netlink)
            except OSError as error:
                return Offer(backend, is_usable=False, reason=_why(need.what, error))
    return Offer(backend, is_usable=True, reason="everything it needs is there")


def _why(what: str, error: OSError) -> str:
    way_out = {
        errno.EPERM: "; run as root, or in a user namespace: unshare -Urnm",
        errno.EROFS: "; /proc/sys is mounted read-only: give the container its own",
    }.get(error.errno or 0, "")
    return f"lacks {what} ({error}){way_out}"
