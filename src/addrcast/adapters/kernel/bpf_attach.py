"""Puts an instance's interface into its account: a veth pair with the program on the host's end.

The instance sees what it sees with the `routes` backend; see `attach`. The host's end has no address, and the
host's own stack takes no packet from it: the program passes none on.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import closing, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

from addrcast.adapters.kernel.attach import (
    GATEWAY_MAC,
    mac_of,
    packed_address,
    settle_in,
    wait_until_ready,
)
from addrcast.adapters.kernel.bpf_entries import WIDTH, key_of
from addrcast.adapters.kernel.namespace import inside, sysctl
from addrcast.adapters.kernel.netlink_link import (
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
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

if TYPE_CHECKING:
    from addrcast.adapters.kernel.attach import Interface
    from addrcast.adapters.kernel.bpf_pins import Pins

_NUMBER = struct.Struct("<I")
_INSTANCE = struct.Struct("<I6sxx")
"""struct instance of bpf/dataplane.c."""


def attach(netlink: NetlinkSocket, pins: Pins, vni: int, interface: Interface, *, mtu_bytes: int) -> None:
    """Put an interface into an account; nothing changes where it is there.

    Raises Invalid for what is no address, OSError where the kernel refuses.
    """
    addresses = [packed_address(logical) for logical in interface.logicals]
    with inside(interface.namespace), closing(NetlinkSocket()) as instance:
        name = _name(vni, addresses)
        if not _is_paired(netlink, instance, name, interface.name):
            _replace_pair(netlink, pins, name, interface, own=mac_of(addresses), mtu_bytes=mtu_bytes)
        outer = get_link(netlink, name)
        inner = get_link(instance, interface.name)
    _guard(outer.name)
    pins.attach("from_instance", outer.name, outer.number)
    pins.maps["ports"].put(_NUMBER.pack(outer.number), _NUMBER.pack(vni))
    set_up(netlink, outer.number)
    with inside(interface.namespace), closing(NetlinkSocket()) as instance:
        settle_in(instance, inner, addresses)
        wait_until_ready(netlink, outer, instance, inner, addresses)
    for address in addresses:  # last: from here on packets are for it, not for where its record says
        value = _INSTANCE.pack(outer.number, mac_of(addresses))
        pins.maps["instances"].put(key_of(vni, address), value)


def detach(netlink: NetlinkSocket, pins: Pins, vni: int, logical: str) -> None:
    """Take the interface with a logical address out of its account; nothing where there is none. Raises OSError."""
    found = pins.maps["instances"].get(key_of(vni, packed_address(logical)))
    if found is not None:
        ifindex, _ = _INSTANCE.unpack(found)
        _forget(pins, {ifindex})
        _remove(netlink, pins, ifindex)


def detach_account(netlink: NetlinkSocket, pins: Pins, vni: int) -> None:
    """Take all interfaces out of an account. Raises OSError."""
    gone = {ifindex for ifindex, whose in _ports(pins).items() if whose == vni}
    if gone:
        _forget(pins, gone)
        for ifindex in gone:
            _remove(netlink, pins, ifindex)


def sweep(pins: Pins, *, tunnel: str) -> list[str]:
    """Forget interfaces that are gone, give those their program back that lost it; what had to be done.

    Raises OSError.
    """
    attached = set()
    for name, ifindex in pins.attached():
        if ifindex:
            attached.add(ifindex)
        elif name != tunnel:
            pins.detach(name)
    done = []
    gone = set()
    for ifindex in _ports(pins).keys() - attached:
        name = _interface(ifindex)
        if name:
            pins.attach("from_instance", name, ifindex)
            done.append(f"{name} had no program")
        else:
            gone.add(ifindex)
    if gone:
        _forget(pins, gone)
    return done


def _ports(pins: Pins) -> dict[int, int]:
    columns = pins.maps["ports"].read()
    return dict(zip(memoryview(columns.keys).cast("I"), memoryview(columns.values).cast("I"), strict=True))


def _forget(pins: Pins, gone: set[int]) -> None:
    """Remove interfaces and the addresses on them from the maps, addresses first."""
    columns = pins.maps["instances"].read()
    for at, (ifindex, _) in enumerate(_INSTANCE.iter_unpack(columns.values)):
        if ifindex in gone:
            pins.maps["instances"].remove(columns.keys[at * WIDTH : (at + 1) * WIDTH])
    for ifindex in gone:
        pins.maps["ports"].remove(_NUMBER.pack(ifindex))


def _remove(netlink: NetlinkSocket, pins: Pins, ifindex: int) -> None:
    name = _interface(ifindex)
    if name:
        delete_link(netlink, ifindex)
        pins.detach(name)


def _interface(ifindex: int) -> str:
    """The name of an interface in the namespace that the thread is in; empty where there is none."""
    with suppress(OSError):
        return socket.if_indextoname(ifindex)
    return ""


def _name(vni: int, addresses: list[bytes]) -> str:
    """The name of the host's end; accounts share the namespace, and may share addresses."""
    return "i" + blake2b(vni.to_bytes(3, "big") + b"".join(addresses), digest_size=6).hexdigest()


def _is_paired(netlink: NetlinkSocket, instance: NetlinkSocket, outer: str, inner: str) -> bool:
    one, other = find_link(netlink, outer), find_link(instance, inner)
    return one is not None and other is not None and (one.peer, other.peer) == (other.number, one.number)


def _replace_pair(
    netlink: NetlinkSocket, pins: Pins, name: str, interface: Interface, *, own: bytes, mtu_bytes: int
) -> None:
    """Make a pair; one that leads to another interface goes."""
    if (there := find_link(netlink, name)) is not None:
        _forget(pins, {there.number})
        delete_link(netlink, there.number)
        pins.detach(name)
    descriptor = os.open(interface.namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = named(interface.name) + mac(own) + mtu(mtu_bytes) + in_namespace(descriptor)
        add_link(netlink, name, veth(peer), mac(GATEWAY_MAC), mtu(mtu_bytes))
    finally:
        os.close(descriptor)


def _guard(name: str) -> None:
    """Should the program ever be taken off it, the host's stack does not pass on what comes in."""
    sysctl(f"ipv4/conf/{name}/forwarding", 0)
    sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
