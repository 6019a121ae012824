"""Link messages: VXLAN devices, veth pairs, macvlan; their VNIs and addresses, and numbers of namespaces.

Source: include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour,net_namespace}.h.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.kernel.netlink_message import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Malformed,
    attribute,
    attributes,
    nested,
    number,
    text,
    u8,
    u32,
)
from addrcast.adapters.kernel.netlink_socket import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from addrcast.adapters.kernel.netlink_message import Message
    from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR = 20
RTM_NEWNSID, RTM_GETNSID = 88, 90
RTM_NEWTUNNEL = 120

AF_UNSPEC, AF_INET, AF_BRIDGE, AF_INET6 = 0, 2, 7, 10
IFF_UP = 1

LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, device type, index, flags, which flags change."""
_ADDRESS = struct.Struct("=BBBBI")
_TUNNEL = struct.Struct("=BBHI")

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK = 1, 3, 4, 5
IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_NET_NS_FD = 16, 18, 28
_IF_OPER_UP = 6
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
_IFLA_VXLAN_ID, _IFLA_VXLAN_LEARNING, _IFLA_VXLAN_PORT = 1, 7, 15
_IFLA_VXLAN_LOCAL6, _IFLA_VXLAN_COLLECT_METADATA, _IFLA_VXLAN_GPE, _IFLA_VXLAN_VNIFILTER = 17, 25, 27, 30
_VXLAN_VNIFILTER_ENTRY, _VXLAN_VNIFILTER_ENTRY_START = 1, 1
_IFLA_MACVLAN_MODE, _MACVLAN_MODE_PASSTHRU = 1, 8
_VETH_INFO_PEER = 1

_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 2
_NETNSA_NSID, _NETNSA_FD = 1, 3

_NEW = NLM_F_CREATE | NLM_F_EXCL
_EEXIST, _ENODEV = 17, 19


class Link(NamedTuple):
    """A device as the kernel shows it.

    `peer` is the number of the one that it is made on, or paired with. `is_carrying` follows `is_up` after a while,
    and until then packets are dropped.
    """

    number: int
    name: str
    is_up: bool
    kind: str
    mac: bytes
    peer: int
    is_carrying: bool


def vxlan_gpe(*, port: int) -> bytes:
    """What makes a VXLAN device that carries plain IP of the VNIs it takes, each packet's target from its route."""
    return _kind(
        "vxlan",
        u8(_IFLA_VXLAN_COLLECT_METADATA, 1),
        attribute(_IFLA_VXLAN_GPE, b""),
        u8(_IFLA_VXLAN_VNIFILTER, 1),
        u8(_IFLA_VXLAN_LEARNING, 0),
        attribute(_IFLA_VXLAN_PORT, struct.pack(">H", port)),
    )


def vxlan_plain(vni: int, *, port: int, is_over_ipv6: bool) -> bytes:
    """What makes a VXLAN device that carries Ethernet frames of one VNI, targets from its forwarding table."""
    over = [attribute(_IFLA_VXLAN_LOCAL6, bytes(16))] if is_over_ipv6 else []
    return _kind(
        "vxlan",
        u32(_IFLA_VXLAN_ID, vni),
        u8(_IFLA_VXLAN_LEARNING, 0),
        attribute(_IFLA_VXLAN_PORT, struct.pack(">H", port)),
        *over,
    )


def macvlan_passthru() -> bytes:
    """What makes a device that takes every frame of the one below as its own, whatever its target MAC address."""
    return _kind("macvlan", u32(_IFLA_MACVLAN_MODE, _MACVLAN_MODE_PASSTHRU))


def veth(peer: bytes) -> bytes:
    """What makes a pair; `peer` are the attributes of the other end."""
    return _kind("veth", attribute(_VETH_INFO_PEER, LINK.pack(AF_UNSPEC, 0, 0, 0, 0) + peer))


def _kind(name: str, *options: bytes) -> bytes:
    return nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, name), nested(IFLA_INFO_DATA, *options))


def add_link(netlink: NetlinkSocket, name: str, kind: bytes, *more: bytes) -> None:
    """Make a device, down. Raises Refused."""
    body = LINK.pack(AF_UNSPEC, 0, 0, 0, 0) + text(IFLA_IFNAME, name) + b"".join(more) + kind
    netlink.request(RTM_NEWLINK, _NEW, body)


def in_namespace(descriptor: int) -> bytes:
    """The attribute that has a device made in, or moved to, another namespace than that of the request."""
    return u32(IFLA_NET_NS_FD, descriptor)


def mtu(value: int) -> bytes:
    """The attribute of a device's largest packet, in bytes."""
    return u32(IFLA_MTU, value)


def mac(value: bytes) -> bytes:
    """The attribute of a device's own address."""
    return attribute(IFLA_ADDRESS, value)


def named(name: str) -> bytes:
    """The attribute of a device's name."""
    return text(IFLA_IFNAME, name)


def lower(index: int) -> bytes:
    """The attribute of the device that another one is made on."""
    return u32(IFLA_LINK, index)


def set_up(netlink: NetlinkSocket, index: int, *changes: bytes) -> None:
    """Bring a device up, with other changes. Raises Refused."""
    netlink.request(RTM_NEWLINK, 0, LINK.pack(AF_UNSPEC, 0, index, IFF_UP, IFF_UP) + b"".join(changes))


def delete_link(netlink: NetlinkSocket, index: int) -> None:
    """Remove a device. Raises Refused."""
    netlink.request(RTM_DELLINK, 0, LINK.pack(AF_UNSPEC, 0, index, 0, 0))


def find_link(netlink: NetlinkSocket, name: str) -> Link | None:
    """The device of a name, if there is one."""
    try:
        return get_link(netlink, name)
    except Refused as refused:
        if refused.errno == _ENODEV:
            return None
        raise


def get_link(netlink: NetlinkSocket, name: str) -> Link:
    """The device of a name. Raises Refused."""
    body = LINK.pack(AF_UNSPEC, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    return read_link(netlink.ask(RTM_GETLINK, body))


def read_link(answer: Message) -> Link:
    """A link message as a device. Raises Malformed."""
    if len(answer.body) < LINK.size:
        raise Malformed("a link message without its header")
    _, _, index, flags, _ = LINK.unpack_from(answer.body)
    found = attributes(answer.body[LINK.size :])
    about = attributes(found[IFLA_LINKINFO]) if IFLA_LINKINFO in found else {}
    return Link(
        index,
        _string(found.get(IFLA_IFNAME)),
        bool(flags & IFF_UP),
        _string(about.get(IFLA_INFO_KIND)),
        bytes(found.get(IFLA_ADDRESS, b"")),
        number(found[IFLA_LINK]) if IFLA_LINK in found else 0,
        IFLA_OPERSTATE in found and number(found[IFLA_OPERSTATE]) == _IF_OPER_UP,
    )


def _string(value: memoryview | None) -> str:
    return "" if value is None else bytes(value).rstrip(b"\0").decode(errors="replace")


def take_vni(netlink: NetlinkSocket, index: int, vni: int) -> None:
    """Have a device with a VNI filter receive one more. Raises Refused."""
    entry = nested(_VXLAN_VNIFILTER_ENTRY, u32(_VXLAN_VNIFILTER_ENTRY_START, vni))
    netlink.request(RTM_NEWTUNNEL, _NEW, _TUNNEL.pack(AF_BRIDGE, 0, 0, index) + entry)


def add_address(netlink: NetlinkSocket, index: int, address: bytes, *, prefix: int) -> None:
    """Give a device an address, usable at once; nothing where it has it. Raises Refused."""
    family = AF_INET if len(address) == 4 else AF_INET6
    body = _ADDRESS.pack(family, prefix, 0, 0, index)
    body += attribute(_IFA_LOCAL, address) + attribute(_IFA_ADDRESS, address)
    if family == AF_INET6:
        body += u32(_IFA_FLAGS, _IFA_F_NODAD)  # detection of duplicates would hold it back for seconds
    netlink.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)


def number_namespace(netlink: NetlinkSocket, path: Path) -> int:
    """The number by which the socket's namespace knows another one; it is given one where it has none yet.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        about = b"\0\0\0\0" + u32(_NETNSA_FD, descriptor)
        any_number = attribute(_NETNSA_NSID, struct.pack("=i", -1))
        try:
            netlink.request(RTM_NEWNSID, 0, about + any_number)
        except Refused as refused:
            if refused.errno != _EEXIST:
                raise
        answer = attributes(netlink.ask(RTM_GETNSID, about).body[4:])
        return number(answer[_NETNSA_NSID])
    finally:
        os.close(descriptor)
