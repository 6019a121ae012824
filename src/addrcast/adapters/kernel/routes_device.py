"""The inside of an account's namespace: its tunnel, its gateway, and what happens to a packet without an entry."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

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
    lower,
    macvlan_passthru,
    mtu,
    set_up,
    take_vni,
    vxlan_gpe,
    vxlan_plain,
)
from addrcast.adapters.kernel.netlink_message import NLM_F_CREATE, NLM_F_REPLACE
from addrcast.adapters.kernel.netlink_route import RTM_NEWROUTE, unreachable_default
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket, Refused

if TYPE_CHECKING:
    from addrcast.adapters.kernel.netlink_link import Link
    from addrcast.adapters.kernel.routes_settings import RoutesSettings

TUNNEL = "tunnel"
"""The device that routes lead to."""
LOWER = "vxlan"
"""In the plain variant the VXLAN device under it."""
GATEWAY = socket.inet_pton(AF_INET, "169.254.1.1")
LOOPBACK = "lo"


class Device:
    """The devices of one account, made complete as often as is asked for."""

    def __init__(
        self, netlink: NetlinkSocket, substrate: NetlinkSocket, *, vni: int, settings: RoutesSettings
    ) -> None:
        self._netlink = netlink
        self._substrate = substrate
        self._vni = vni
        self._settings = settings

    def complete(self) -> Link:
        """Make what is missing and bring up what is down; the tunnel. Raises OSError."""
        loopback = get_link(self._netlink, LOOPBACK)
        if not loopback.is_up:
            self._set_forwarding()
            add_address(self._netlink, loopback.number, GATEWAY, prefix=32)
            set_up(self._netlink, loopback.number)  # last: it says that all of this is done
        tunnel = self._gpe() if self._settings.variant == "gpe" else self._plain()
        if not tunnel.is_up:
            set_up(self._netlink, tunnel.number)
        for family in (AF_INET, AF_INET6):
            self._netlink.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, unreachable_default(family))
        return tunnel

    def remove(self) -> None:
        """Remove the tunnel at once: a namespace that ends by itself holds its VNI for a while after."""
        for name in (TUNNEL, LOWER):
            if (link := find_link(self._netlink, name)) is not None:
                delete_link(self._netlink, link.number)

    def _set_forwarding(self) -> None:
        with inside(self._settings.namespace(self._vni)):
            sysctl("ipv4/ip_forward", 1)
            for name in ("all", "default"):
                # an instance's end of its pair is guarded by itself; a late packet goes back the way it came
                sysctl(f"ipv4/conf/{name}/rp_filter", 0)
                sysctl(f"ipv4/conf/{name}/send_redirects", 0)
            sysctl("ipv6/conf/all/forwarding", 1)

    def _gpe(self) -> Link:
        kind = vxlan_gpe(port=self._settings.tunnel_port)
        tunnel = find_link(self._netlink, TUNNEL) or self._make_here(TUNNEL, kind)
        try:
            take_vni(self._netlink, tunnel.number, self._vni)
        except Refused as refused:
            if refused.errno != errno.EEXIST:
                raise
        return tunnel

    def _plain(self) -> Link:
        over_ipv6 = self._settings.is_substrate_ipv6
        kind = vxlan_plain(self._vni, port=self._settings.tunnel_port, is_over_ipv6=over_ipv6)
        below = find_link(self._netlink, LOWER) or self._make_here(LOWER, kind)
        if not below.is_up:
            set_up(self._netlink, below.number)
        if (tunnel := find_link(self._netlink, TUNNEL)) is None:
            add_link(self._netlink, TUNNEL, macvlan_passthru(), lower(below.number))
            return get_link(self._netlink, TUNNEL)
        return tunnel

    def _make_here(self, name: str, kind: bytes) -> Link:
        """A device made by the substrate's namespace in this one: its packets go out where it was asked for."""
        descriptor = os.open(self._settings.namespace(self._vni), os.O_RDONLY | os.O_CLOEXEC)
        try:
            add_link(self._substrate, name, kind, in_namespace(descriptor), mtu(self._settings.instance_mtu))
        finally:
            os.close(descriptor)
        return get_link(self._netlink, name)
