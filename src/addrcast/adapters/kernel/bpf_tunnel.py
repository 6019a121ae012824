"""The one tunnel of a host: a VXLAN device that takes every VNI and leaves addresses to the programs.

Source: include/uapi/linux/if_link.h. As GPE it carries plain IP, so it has no neighbours and no MAC addresses.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from addrcast.adapters.kernel.netlink_link import (
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    add_link,
    delete_link,
    find_link,
    get_link,
    mtu,
    set_up,
)
from addrcast.adapters.kernel.netlink_message import attribute, nested, text, u8

if TYPE_CHECKING:
    from addrcast.adapters.kernel.bpf_pins import Pins
    from addrcast.adapters.kernel.bpf_settings import BpfSettings
    from addrcast.adapters.kernel.netlink_link import Link
    from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

_IFLA_VXLAN_LEARNING, _IFLA_VXLAN_PORT = 7, 15
_IFLA_VXLAN_COLLECT_METADATA, _IFLA_VXLAN_GPE = 25, 27
_ONLY = bytes(4)
_INDEX = struct.Struct("=I")


def vxlan_external(*, port: int) -> bytes:
    """What makes a VXLAN-GPE device that takes every VNI, the target of each packet from its metadata."""
    options = nested(
        IFLA_INFO_DATA,
        u8(_IFLA_VXLAN_COLLECT_METADATA, 1),
        attribute(_IFLA_VXLAN_GPE, b""),
        u8(_IFLA_VXLAN_LEARNING, 0),
        attribute(_IFLA_VXLAN_PORT, struct.pack(">H", port)),
    )
    return nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "vxlan"), options)


def complete(netlink: NetlinkSocket, pins: Pins, settings: BpfSettings) -> list[str]:
    """Make the tunnel, put its program on it, bring it up; what had to be done. Raises OSError."""
    done = []
    link = find_link(netlink, settings.tunnel)
    if link is None:
        link = _made(netlink, settings)
        done.append("the tunnel was not there")
    if pins.interface_of(settings.tunnel) != link.number:  # before it is up: the host's own stack gets no packet
        pins.attach("from_tunnel", settings.tunnel, link.number)
        done.append("the tunnel had no program")
    number = _INDEX.pack(link.number)
    if pins.maps["tunnel"].get(_ONLY) != number:
        pins.maps["tunnel"].put(_ONLY, number)
        done.append("the programs knew another tunnel")
    if not link.is_up:
        set_up(netlink, link.number)
        done.append("the tunnel was down")
    return done


def _made(netlink: NetlinkSocket, settings: BpfSettings) -> Link:
    add_link(netlink, settings.tunnel, vxlan_external(port=settings.port), mtu(settings.instance_mtu))
    return get_link(netlink, settings.tunnel)


def remove(netlink: NetlinkSocket, settings: BpfSettings) -> None:
    """Remove the tunnel; nothing where there is none. Raises OSError."""
    if (link := find_link(netlink, settings.tunnel)) is not None:
        delete_link(netlink, link.number)
