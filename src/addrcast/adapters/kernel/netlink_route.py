"""Route and nexthop messages: one host route for each entry, to the nexthop object of its physical address.

Source: include/uapi/linux/{rtnetlink,nexthop,lwtunnel}.h. A nexthop of the family IPv6 serves IPv4 routes too (RFC
8950), one of the family IPv4 serves no IPv6 route (net/ipv6/route.c), so all of ours are of the former.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.kernel.netlink_link import AF_INET, AF_INET6
from addrcast.adapters.kernel.netlink_message import (
    HEADER,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Malformed,
    attribute,
    attributes,
    message,
    messages,
    nested,
    number,
    spans,
    u16,
    u32,
)
from addrcast.adapters.kernel.netlink_socket import Refused
from addrcast.adapters.kernel.netlink_template import Hole, Template
from addrcast.core.domain.address import Family, format_address

if TYPE_CHECKING:
    from addrcast.adapters.kernel.netlink_message import Message
    from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106

OUR_PROTOCOL = 80
"""The mark of our routes and nexthops (`proto 80`); routing daemons use none of 64 to 127 by default."""
ENTRY_METRIC = 80
"""The metric of entries: an instance that is here has a route with a lower one, which then is the one taken."""
DEFAULT_METRIC = 4_278_198_272

ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, target and source prefix, TOS, table, protocol, scope, type, flags."""
NEXTHOP = struct.Struct("=BBBBI")
"""struct nhmsg: family, scope, protocol, reserved, flags."""

_RT_TABLE_MAIN = 254
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RT_SCOPE_NOWHERE = 0, 253, 255
_RTN_UNICAST, _RTN_LOCAL, _RTN_UNREACHABLE = 1, 2, 7
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_VIA = 1, 4, 5, 6, 18
_RTA_ENCAP, _RTA_NH_ID = 22, 30
_RTNH_F_ONLINK = 4
_NHA_ID, _NHA_OIF, _NHA_GATEWAY, _NHA_ENCAP_TYPE, _NHA_ENCAP = 1, 5, 6, 7, 8
_LWTUNNEL_ENCAP_IP, _LWTUNNEL_ENCAP_IP6 = 2, 4
_LWTUNNEL_IP_ID, _LWTUNNEL_IP_DST, _LWTUNNEL_IP6_FLAGS = 1, 2, 6
_TUNNEL_CSUM = b"\0\1"

_REPLACE = NLM_F_CREATE | NLM_F_REPLACE
WIDTHS = {AF_INET: 4, AF_INET6: 16}
"""Bytes of an address of each family."""
NEXTHOP_ID = Hole(HEADER.size + NEXTHOP.size + 4, 4)
"""Where requests for nexthops have the id."""
ENTRY_DST = HEADER.size + ROUTE.size + 4
"""Where requests for routes have the logical address."""
_MAPPED = ipaddress.IPv6Address("64:ff9b::").packed[:12]


class Nexthop(NamedTuple):
    """A nexthop object: where its packets go, by which device; `physical` is empty for other kinds."""

    id: int
    protocol: int
    device: int
    physical: bytes


def pack(family: int, addresses: list[str]) -> bytes:
    """Addresses of one family end to end. Raises OSError where one is not of it."""
    return b"".join(map(socket.inet_pton, repeat(family), addresses))


def unpack(family: int, column: bytes) -> list[str]:
    """Addresses that lie end to end, in their canonical text."""
    width = WIDTHS[family]
    values = [column[at : at + width] for at in range(0, len(column), width)]
    texts = list(map(socket.inet_ntop, repeat(family), values))
    if family == AF_INET6:  # the C library writes more with dots than RFC 5952 does
        texts = [
            format_address(Family.IPV6, int.from_bytes(value)) if "." in text else text
            for value, text in zip(values, texts, strict=True)
        ]
    return texts


def family_of(packed: bytes) -> int:
    """The family of a packed address."""
    return AF_INET if len(packed) == WIDTHS[AF_INET] else AF_INET6


def nexthop_template(vni: int, device: int, family: int) -> Template:
    """New nexthops that encapsulate towards physical addresses of one family. Columns: id, physical."""
    kind = _LWTUNNEL_ENCAP_IP if family == AF_INET else _LWTUNNEL_ENCAP_IP6
    tunnel = attribute(_LWTUNNEL_IP_ID, struct.pack(">Q", vni))
    if family == AF_INET6:  # IPv6 has no checksum of its own: a datagram without one is dropped where it arrives
        tunnel += attribute(_LWTUNNEL_IP6_FLAGS, _TUNNEL_CSUM)
    encapsulation = nested(_NHA_ENCAP, tunnel, attribute(_LWTUNNEL_IP_DST, bytes(WIDTHS[family])))
    body = NEXTHOP.pack(AF_INET6, 0, OUR_PROTOCOL, 0, 0) + u32(_NHA_ID, 0) + u32(_NHA_OIF, device)
    whole = message(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, body + u16(_NHA_ENCAP_TYPE, kind) + encapsulation)
    return Template(whole, NEXTHOP_ID, Hole(len(whole) - WIDTHS[family], WIDTHS[family]))


def gateway_template(device: int, family: int) -> Template:
    """New nexthops by way of the gateway that stands for a physical address. Columns: id, physical."""
    body = NEXTHOP.pack(AF_INET6, 0, OUR_PROTOCOL, 0, _RTNH_F_ONLINK) + u32(_NHA_ID, 0) + u32(_NHA_OIF, device)
    body += attribute(_NHA_GATEWAY, gateway(bytes(WIDTHS[family])))
    whole = message(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, body)
    return Template(whole, NEXTHOP_ID, Hole(len(whole) - WIDTHS[family], WIDTHS[family]))


def gateway(physical: bytes) -> bytes:
    """The IPv6 address that stands for a physical one as a gateway: itself, or inside 64:ff9b::/96."""
    return physical if len(physical) == WIDTHS[AF_INET6] else _MAPPED + physical


def lone_nexthop(device: int) -> bytes:
    """The body of a request for a nexthop straight to a device, of an id that the kernel chooses."""
    return NEXTHOP.pack(AF_INET6, 0, OUR_PROTOCOL, 0, 0) + u32(_NHA_OIF, device)


def route_template(family: int) -> Template:
    """Routes that replace what their address had. Columns: logical, nexthop id."""
    body = _route(family, WIDTHS[family] * 8, _RT_SCOPE_UNIVERSE, _RTN_UNICAST)
    body += attribute(_RTA_DST, bytes(WIDTHS[family])) + u32(_RTA_PRIORITY, ENTRY_METRIC) + u32(_RTA_NH_ID, 0)
    whole = message(RTM_NEWROUTE, _REPLACE, body)
    return Template(whole, Hole(ENTRY_DST, WIDTHS[family]), Hole(len(whole) - 4, 4))


def removal_template(family: int) -> Template:
    """Removals of entries' routes, whatever they lead to. Column: logical."""
    body = _route(family, WIDTHS[family] * 8, _RT_SCOPE_NOWHERE, 0)
    body += attribute(_RTA_DST, bytes(WIDTHS[family])) + u32(_RTA_PRIORITY, ENTRY_METRIC)
    return Template(message(RTM_DELROUTE, 0, body), Hole(ENTRY_DST, WIDTHS[family]))


NEXTHOP_REMOVAL = Template(message(RTM_DELNEXTHOP, 0, NEXTHOP.pack(0, 0, 0, 0, 0) + u32(_NHA_ID, 0)), NEXTHOP_ID)
"""Removals of nexthops, which take their routes along. Column: id."""


def unreachable_default(family: int) -> bytes:
    """The body of a request for the route that answers for every address without an entry."""
    return _route(family, 0, _RT_SCOPE_UNIVERSE, _RTN_UNREACHABLE) + u32(_RTA_PRIORITY, DEFAULT_METRIC)


def device_route(address: bytes, device: int, *, metric: int, protocol: int) -> bytes:
    """The body of a request for the route to an address that is directly on a device."""
    body = _route(family_of(address), len(address) * 8, _RT_SCOPE_LINK, _RTN_UNICAST, protocol=protocol)
    return body + attribute(_RTA_DST, address) + u32(_RTA_OIF, device) + u32(_RTA_PRIORITY, metric)


def default_route(via: bytes, device: int) -> bytes:
    """The body of a request for a default route by a gateway that is directly on a device."""
    body = _route(family_of(via), 0, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, flags=_RTNH_F_ONLINK)
    return body + attribute(_RTA_GATEWAY, via) + u32(_RTA_OIF, device)


def _route(
    family: int, prefix: int, scope: int, kind: int, *, flags: int = 0, protocol: int = OUR_PROTOCOL
) -> bytes:
    return ROUTE.pack(family, prefix, 0, 0, _RT_TABLE_MAIN, protocol, scope, kind, flags)


def routes_marked(family: int, protocol: int) -> bytes:
    """The body of a dump of the routes with a mark; kernels that check dumps strictly leave out all others."""
    return ROUTE.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)


def is_own(netlink: NetlinkSocket, address: bytes) -> bool:
    """Whether packets to an address are for the namespace itself. Raises OSError."""
    body = ROUTE.pack(family_of(address), len(address) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute(_RTA_DST, address)
    try:
        answer = netlink.ask(RTM_GETROUTE, body)
    except Refused as refused:
        if refused.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
            return False
        raise
    return len(answer.body) >= ROUTE.size and ROUTE.unpack_from(answer.body)[7] == _RTN_LOCAL


def read_device_route(answer: Message) -> tuple[bytes, int]:
    """Target and device of a route, each empty or 0 where it has none. Raises Malformed."""
    found = attributes(answer.body[ROUTE.size :])
    return bytes(found.get(_RTA_DST, b"")), number(found[_RTA_OIF]) if _RTA_OIF in found else 0


ALL_NEXTHOPS = NEXTHOP.pack(0, 0, 0, 0, 0)
"""The body of a dump of the nexthops, which the kernel does not filter by mark."""


def one_nexthop(identifier: bytes) -> bytes:
    """The body of a question for one nexthop."""
    return NEXTHOP.pack(0, 0, 0, 0, 0) + attribute(_NHA_ID, identifier)


def read_nexthop(answer: Message) -> Nexthop:
    """A nexthop message. Raises Malformed."""
    protocol = answer.body[2] if len(answer.body) >= NEXTHOP.size else 0
    found = attributes(answer.body[NEXTHOP.size :])
    physical = b""
    if _NHA_ENCAP in found:
        physical = bytes(attributes(found[_NHA_ENCAP]).get(_LWTUNNEL_IP_DST, b""))
    elif _NHA_GATEWAY in found:
        physical = _physical(bytes(found[_NHA_GATEWAY]))
    device = number(found[_NHA_OIF]) if _NHA_OIF in found else 0
    return Nexthop(number(found[_NHA_ID]) if _NHA_ID in found else 0, protocol, device, physical)


def _physical(via: bytes) -> bytes:
    return via[12:] if via.startswith(_MAPPED) else via


class RouteReader:
    """Reads our entries from the datagrams of one dump, and which nexthops they use.

    The kernel writes routes of one kind alike. So the first of a datagram is read attribute by attribute, the
    others as bytes in the same places, as long as all else is the same in them.
    """

    def __init__(self, family: int) -> None:
        self.entries: dict[str, str] = {}
        self.nexthops: set[int] = set()
        self._family = family
        self._layout: _Layout | None = None

    def read(self, datagram: memoryview) -> None:
        """Take in the routes of a datagram. Raises Malformed."""
        buffer = bytes(datagram)
        if self._layout is not None and self._take(self._layout, buffer):
            return
        offset = 0
        for each in messages(buffer):
            whole = buffer[offset : offset + HEADER.size + len(each.body)]
            if (layout := _layout(whole, self._family)) is not None:
                self._layout = layout
                self._take(layout, whole)
            offset += len(whole) + -len(whole) % 4

    def _take(self, layout: _Layout, buffer: bytes) -> bool:
        columns = layout.template.read(buffer)
        if columns is None:
            return False
        self._keep(layout, columns)
        return True

    def _keep(self, layout: _Layout, columns: tuple[bytes, ...]) -> None:
        logicals, identifiers, physicals = columns
        if layout.is_gateway:
            values = [_physical(physicals[at : at + 16]) for at in range(0, len(physicals), 16)]
            targets = [text for value in values for text in unpack(family_of(value), value)]
        else:
            targets = unpack(layout.physical_family, physicals)
        self.entries.update(zip(unpack(self._family, logicals), targets, strict=True))
        self.nexthops.update(memoryview(identifiers).cast("I"))


class KeyReader(RouteReader):
    """Reads only the logical addresses of our entries, packed."""

    def __init__(self, family: int) -> None:
        super().__init__(family)
        self.logicals = bytearray()

    def _keep(self, layout: _Layout, columns: tuple[bytes, ...]) -> None:  # noqa: ARG002
        self.logicals += columns[0]


class _Layout(NamedTuple):
    """Where a route message has its logical address, its nexthop's id, its physical address."""

    template: Template
    physical_family: int
    is_gateway: bool


def _layout(whole: bytes, family: int) -> _Layout | None:
    """The layout of a route message; None where it is none of our entries."""
    begin = HEADER.size + ROUTE.size
    if len(whole) < begin:
        raise Malformed("a route message without its header")
    _, prefix, _, _, _, protocol, _, _, _ = ROUTE.unpack_from(whole, HEADER.size)
    view = memoryview(whole)
    found = spans(view, begin, len(whole))
    if protocol != OUR_PROTOCOL or prefix != WIDTHS[family] * 8 or not {_RTA_DST, _RTA_NH_ID} <= found.keys():
        return None
    is_gateway = _RTA_ENCAP not in found
    target = found.get(_RTA_GATEWAY) if is_gateway else spans(view, *found[_RTA_ENCAP]).get(_LWTUNNEL_IP_DST)
    if target is None and _RTA_VIA in found:
        target = found[_RTA_VIA][0] + 2, found[_RTA_VIA][1]  # after the family of the gateway
    if target is None:
        return None
    holes = [Hole(span[0], span[1] - span[0]) for span in (found[_RTA_DST], found[_RTA_NH_ID], target)]
    physical = holes[2].width
    if [hole.width for hole in holes[:2]] != [WIDTHS[family], 4] or physical not in WIDTHS.values():
        return None
    physical_family = AF_INET if physical == WIDTHS[AF_INET] else AF_INET6
    return _Layout(Template(whole, *holes), physical_family, is_gateway)
