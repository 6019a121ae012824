"""Puts an instance's interface into its account: a veth pair, the gateway, the addresses, what it may send from.

The instance sees a point-to-point link: its addresses with full-length prefixes, and a default route by a gateway
that is the same everywhere (169.254.1.1, fe80::1, one MAC address), so that it can move without noticing.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.kernel.namespace import inside, sysctl
from addrcast.adapters.kernel.netlink_link import (
    AF_INET,
    AF_INET6,
    add_address,
    add_link,
    delete_link,
    find_link,
    get_link,
    in_namespace,
    mac,
    mtu,
    named,
    set_up,
    veth,
)
from addrcast.adapters.kernel.netlink_message import NLM_F_CREATE, NLM_F_REPLACE, messages
from addrcast.adapters.kernel.netlink_neighbour import MAC_PREFIX, RTM_NEWNEIGH, permanent
from addrcast.adapters.kernel.netlink_route import (
    RTM_GETROUTE,
    RTM_NEWROUTE,
    default_route,
    device_route,
    is_own,
    read_device_route,
    routes_marked,
)
from addrcast.adapters.kernel.netlink_rule import allow_sources, drop_rules
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket
from addrcast.adapters.kernel.routes_device import GATEWAY, LOOPBACK
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

    from addrcast.adapters.kernel.netlink_link import Link

INSTANCE_PROTOCOL = 81
"""The mark of what belongs to instances, beside that of entries: an audit of entries does not see it."""
INSTANCE_METRIC = 10
GATEWAY_V6 = socket.inet_pton(AF_INET6, "fe80::1")
GATEWAY_MAC = bytes.fromhex("0a58ffffffff")
_READY_S = 1.0
_READY_POLL_S = 0.001
_WRITE = NLM_F_CREATE | NLM_F_REPLACE


class Interface(NamedTuple):
    """An instance's interface: its logical addresses, and where it is to appear under which name."""

    logicals: tuple[str, ...]
    namespace: Path
    name: str = "eth0"


def attach(netlink: NetlinkSocket, account: Path, interface: Interface, *, mtu_bytes: int) -> None:
    """Put an interface into the account whose namespace `netlink` is in; nothing changes where it is there.

    Raises Invalid for what is no address, OSError where the kernel refuses.
    """
    addresses = [packed_address(logical) for logical in interface.logicals]
    with inside(interface.namespace), closing(NetlinkSocket()) as instance:
        outer = _pair(netlink, instance, interface, addresses, mtu_bytes=mtu_bytes)
        with inside(account):
            _guard(outer.name)
        drop_rules(netlink, outer.name, protocol=INSTANCE_PROTOCOL)
        v6 = [address for address in addresses if len(address) == len(GATEWAY_V6)]
        allow_sources(netlink, outer.name, v6, protocol=INSTANCE_PROTOCOL)
        add_address(netlink, outer.number, GATEWAY_V6, prefix=64)
        set_up(netlink, outer.number)
        inner = get_link(instance, interface.name)
        settle_in(instance, inner, addresses)
        wait_until_ready(netlink, outer, instance, inner, addresses)
    for address in addresses:  # last: from here on packets are for it, not for where its record says
        netlink.request(RTM_NEWNEIGH, _WRITE, permanent(outer.number, address, mac_of(addresses)))
        route = device_route(address, outer.number, metric=INSTANCE_METRIC, protocol=INSTANCE_PROTOCOL)
        netlink.request(RTM_NEWROUTE, _WRITE, route)


def detach(netlink: NetlinkSocket, logical: str) -> None:
    """Take the interface with a logical address out of its account; nothing where there is none. Raises OSError."""
    address = packed_address(logical)
    family = AF_INET if len(address) == len(GATEWAY) else AF_INET6
    dump = netlink.dump(RTM_GETROUTE, routes_marked(family, INSTANCE_PROTOCOL))
    found = [read_device_route(each) for datagram in dump for each in messages(datagram)]
    for target, device in found:
        if target == address:
            delete_link(netlink, device)
    drop_rules(netlink, "", protocol=INSTANCE_PROTOCOL)


def wait_until_ready(
    netlink: NetlinkSocket, outer: Link, instance: NetlinkSocket, inner: Link, addresses: list[bytes]
) -> None:
    """Wait for what the kernel does a little later: both ends carry packets, and IPv6 addresses are taken in."""
    deadline = time.monotonic() + _READY_S

    def is_ready() -> bool:
        ends = get_link(netlink, outer.name), get_link(instance, inner.name)
        return all(end.is_carrying for end in ends) and all(is_own(instance, address) for address in addresses)

    while not is_ready() and time.monotonic() < deadline:
        time.sleep(_READY_POLL_S)


def mac_of(addresses: list[bytes]) -> bytes:
    """The MAC address of an instance: 0a:58 and its IPv4 address, or four bytes that stand for an IPv6 one."""
    for address in addresses:
        if len(address) == len(GATEWAY):
            return MAC_PREFIX + address
    return MAC_PREFIX + blake2b(addresses[0], digest_size=4).digest()


def packed_address(logical: str) -> bytes:
    """The bytes of an address as the kernel has them. Raises Invalid."""
    try:
        return socket.inet_pton(AF_INET6 if ":" in logical else AF_INET, logical)
    except OSError:
        raise Invalid("logical", logical, "an IPv4 or IPv6 address") from None


def _pair(
    netlink: NetlinkSocket,
    instance: NetlinkSocket,
    interface: Interface,
    addresses: list[bytes],
    *,
    mtu_bytes: int,
) -> Link:
    """The account's end of the pair, made where it is not there or leads to another interface."""
    name = "i" + blake2b(b"".join(addresses), digest_size=6).hexdigest()
    there, inner = find_link(netlink, name), find_link(instance, interface.name)
    if there is not None:
        if inner is not None and (there.peer, inner.peer) == (inner.number, there.number):
            return there
        delete_link(netlink, there.number)
    descriptor = os.open(interface.namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = named(interface.name) + mac(mac_of(addresses)) + mtu(mtu_bytes) + in_namespace(descriptor)
        add_link(netlink, name, veth(peer), mac(GATEWAY_MAC), mtu(mtu_bytes))
    finally:
        os.close(descriptor)
    return get_link(netlink, name)


def settle_in(instance: NetlinkSocket, link: Link, addresses: list[bytes]) -> None:
    """Inside the instance: addresses, and a gateway that it need not ask for."""
    set_up(instance, get_link(instance, LOOPBACK).number)
    for address in addresses:
        add_address(instance, link.number, address, prefix=len(address) * 8)
    set_up(instance, link.number)
    for gateway in (GATEWAY, GATEWAY_V6):
        if any(len(address) == len(gateway) for address in addresses):
            instance.request(RTM_NEWNEIGH, _WRITE, permanent(link.number, gateway, GATEWAY_MAC))
            instance.request(RTM_NEWROUTE, _WRITE, default_route(gateway, link.number))


def _guard(name: str) -> None:
    """What the account's end answers and lets in; IPv6 is guarded by rules."""
    sysctl(f"ipv4/conf/{name}/rp_filter", 1)
    # an instance with a shorter prefix asks for its neighbours, which are behind this end
    sysctl(f"ipv4/conf/{name}/proxy_arp", 1)
    sysctl(f"ipv4/conf/{name}/proxy_arp_pvlan", 1)
    sysctl(f"ipv4/neigh/{name}/proxy_delay", 0)
    sysctl(f"ipv6/conf/{name}/accept_ra", 0)
