"""Whether the `bpf` backend can be used: its own programs loaded and put on a tunnel that is thrown away."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from addrcast.adapters.kernel import bpf_syscall, bpf_tunnel
from addrcast.adapters.kernel.bpf_object import read_object
from addrcast.adapters.kernel.bpf_pins import OBJECT
from addrcast.adapters.kernel.netlink_link import add_link, get_link

if TYPE_CHECKING:
    from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

_PORT = 4790
_TUNNEL = "bpf"


def attempt(netlink: NetlinkSocket) -> None:
    """Try all that is needed in the namespace of the thread, where only the tunnel stays. Raises OSError."""
    image = read_object(OBJECT.read_bytes())
    opened: list[int] = []
    try:
        maps: dict[str, int] = {}
        for name, shape in image.maps.items():
            maps[name] = bpf_syscall.create_map(name, shape)
            opened.append(maps[name])
        for name, program in image.programs.items():
            opened.append(bpf_syscall.load_program(name, program.linked(maps), image.license))
        add_link(netlink, _TUNNEL, bpf_tunnel.vxlan_external(port=_PORT))
        opened.append(bpf_syscall.attach_tcx(opened[-1], get_link(netlink, _TUNNEL).number))
    except PermissionError as error:  # a user namespace, which helps other backends, does not help here
        reason = f"{error}; bpf(2) is for root, or CAP_BPF with CAP_NET_ADMIN, outside of user namespaces"
        raise OSError(errno.EACCES, reason) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
