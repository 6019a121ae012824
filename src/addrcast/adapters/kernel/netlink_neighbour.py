"""Neighbour messages: which MAC address an address has, and where a VXLAN device sends frames to a MAC address.

Source: include/uapi/linux/neighbour.h; drivers/net/vxlan/vxlan_core.c for the family AF_BRIDGE.
"""

from __future__ import annotations

import struct

from addrcast.adapters.kernel.netlink_link import AF_BRIDGE, AF_INET6
from addrcast.adapters.kernel.netlink_message import NLM_F_CREATE, NLM_F_REPLACE, attribute, message
from addrcast.adapters.kernel.netlink_route import WIDTHS, family_of, gateway
from addrcast.adapters.kernel.netlink_template import Hole, Template

RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29

_NEIGHBOUR = struct.Struct("=BxxxiHBB")
"""struct ndmsg: family, device, state, flags, type."""
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_NTF_SELF = 2

MAC_PREFIX = bytes.fromhex("0a58")
"""Our MAC addresses: locally administered, then four bytes."""
_WRITE = NLM_F_CREATE | NLM_F_REPLACE


def permanent(device: int, address: bytes, mac: bytes) -> bytes:
    """The body of a request for a neighbour that is never asked for."""
    body = _NEIGHBOUR.pack(family_of(address), device, _NUD_PERMANENT, 0, 0)
    return body + attribute(_NDA_DST, address) + attribute(_NDA_LLADDR, mac)


def gateway_neighbour_template(device: int, family: int, kind: int) -> Template:
    """Neighbours for the gateways of physical addresses, written or removed. Columns: physical, end of the MAC."""
    body = _NEIGHBOUR.pack(AF_INET6, device, _NUD_PERMANENT, 0, 0)
    body += attribute(_NDA_DST, gateway(bytes(WIDTHS[family])))
    return _ended_by_mac(kind, body, Hole(_HEAD + 20 - WIDTHS[family], WIDTHS[family]))


def forwarding_template(device: int, family: int, kind: int) -> Template:
    """Entries of a VXLAN device's forwarding table, written or removed. Columns: physical, end of the MAC."""
    body = _NEIGHBOUR.pack(AF_BRIDGE, device, _NUD_NOARP | _NUD_PERMANENT, _NTF_SELF, 0)
    body += attribute(_NDA_DST, bytes(WIDTHS[family]))
    return _ended_by_mac(kind, body, Hole(_HEAD + 4, WIDTHS[family]))


_HEAD = 16 + _NEIGHBOUR.size


def _ended_by_mac(kind: int, body: bytes, address: Hole) -> Template:
    at = 16 + len(body) + 4 + len(MAC_PREFIX)
    whole = message(
        kind, _WRITE if kind == RTM_NEWNEIGH else 0, body + attribute(_NDA_LLADDR, MAC_PREFIX + bytes(4))
    )
    return Template(whole, address, Hole(at, 4))
