"""What others do to our accounts: links, routes and nexthops that change, namespaces that lose their name.

Source: include/uapi/linux/{netlink,rtnetlink,filter}.h, inotify(7).
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from addrcast.adapters.kernel import netlink_link, netlink_route
from addrcast.adapters.kernel.netlink_link import read_link
from addrcast.adapters.kernel.netlink_message import messages
from addrcast.adapters.kernel.netlink_socket import BUFFER_BYTES, NETLINK_ROUTE, SOL_NETLINK
from addrcast.adapters.kernel.routes_device import LOWER, TUNNEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from addrcast.adapters.kernel.netlink_message import Message
    from addrcast.adapters.kernel.routes_settings import RoutesSettings

_NETLINK_ADD_MEMBERSHIP, _NETLINK_LISTEN_ALL_NSID = 1, 8
_GROUPS = {"link": 1, "IPv4 route": 7, "IPv6 route": 11, "nexthop": 32}
_SO_ATTACH_FILTER = 26
_IN_MOVED_FROM, _IN_DELETE = 0x40, 0x200
_INOTIFY_EVENT = struct.Struct("=iIII")
_DATAGRAM_MAX = 1 << 16
_BURST = 256
_MARK = bytes([netlink_route.OUR_PROTOCOL])


class Events:
    """Notifications of one host's accounts, told one by one to `tell`, in the event loop; some may be false alarms.

    To be made by a thread in the substrate's namespace, then started in the event loop. One socket hears all the
    namespaces that the substrate's has a number for; a filter in the kernel drops what was done by way of `port`,
    since an agent would otherwise read each of its own changes again.
    """

    def __init__(self, settings: RoutesSettings, numbers: Mapping[int, int], *, port: int) -> None:
        self._settings = settings
        self._numbers = numbers
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_ROUTE
        )
        self._names = -1
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            _drop_from(self._socket, port)
            self._socket.bind((0, 0))
            self._socket.setsockopt(SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID, 1)
            for group in _GROUPS.values():
                self._socket.setsockopt(SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
            self._names = _watch_names(settings)
        except BaseException:
            self.close()
            raise

    def start(self, tell: Callable[[str], None], lost: Callable[[int], None]) -> None:
        """Begin to tell; `lost` is called with the VNI of each account whose namespace lost its name."""
        loop = asyncio.get_running_loop()
        self._tell = tell
        self._lost = lost
        loop.add_reader(self._socket, self._heard)
        if self._names >= 0:
            loop.add_reader(self._names, self._names_changed)

    def stop(self) -> None:
        """Tell nothing more."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        if self._names >= 0:
            loop.remove_reader(self._names)
        self.close()

    def close(self) -> None:
        """Close what is open."""
        self._socket.close()
        if self._names >= 0:
            os.close(self._names)
            self._names = -1

    def _heard(self) -> None:
        for _ in range(_BURST):
            try:
                datagram, about, _, _ = self._socket.recvmsg(_DATAGRAM_MAX, socket.CMSG_SPACE(4))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._tell("notifications were lost: more came than could be read")
                return
            vni = self._vni(about)
            if vni is None:
                continue
            for each in messages(datagram):
                if (what := change(each)) is not None:
                    self._tell(f"account of VNI {vni}: {what}")

    def _vni(self, about: list[tuple[int, int, bytes]]) -> int | None:
        for level, kind, value in about:
            if (level, kind) == (SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID):
                return self._numbers.get(struct.unpack("=i", value[:4])[0])
        return None

    def _names_changed(self) -> None:
        events = os.read(self._names, _DATAGRAM_MAX)
        offset = 0
        while offset < len(events):
            *_, length = _INOTIFY_EVENT.unpack_from(events, offset)
            offset += _INOTIFY_EVENT.size
            name = os.fsdecode(events[offset : offset + length].rstrip(b"\0"))
            offset += length
            vni = self._settings.vni_of(name)
            if vni is not None and vni in self._numbers.values():
                self._lost(vni)
                self._tell(f"account of VNI {vni}: its namespace has lost its name")


def change(event: Message) -> str | None:
    """What a notification says of our devices, routes and nexthops; None where it concerns none of them."""
    match event.kind:
        case netlink_link.RTM_NEWLINK | netlink_link.RTM_DELLINK:
            link = read_link(event)
            if link.name not in {TUNNEL, LOWER}:
                return None
            if event.kind == netlink_link.RTM_DELLINK:
                return f"its device {link.name} is gone"
            return None if link.is_up else f"its device {link.name} is down"
        case netlink_route.RTM_NEWROUTE | netlink_route.RTM_DELROUTE:
            verb = "removed" if event.kind == netlink_route.RTM_DELROUTE else "written"
            return f"another has {verb} a route" if event.body[5:6] == _MARK else None
        case netlink_route.RTM_NEWNEXTHOP | netlink_route.RTM_DELNEXTHOP:
            verb = "removed" if event.kind == netlink_route.RTM_DELNEXTHOP else "written"
            return f"another has {verb} a nexthop" if event.body[2:3] == _MARK else None
    return None


def _drop_from(receiver: socket.socket, port: int) -> None:
    """Have the kernel drop notifications of changes that came from a port (struct nlmsghdr.nlmsg_pid)."""
    (as_loaded,) = struct.unpack(">I", struct.pack("=I", port))  # the filter's machine loads in network order
    program = struct.pack(
        "=" + "HBBI" * 4, 0x20, 0, 0, 12, 0x15, 0, 1, as_loaded, 0x06, 0, 0, 0, 0x06, 0, 0, 0xFFFFFFFF
    )  # load the port; equal? return 0 bytes : return all
    buffer = ctypes.create_string_buffer(program)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 4, ctypes.addressof(buffer)))


def _watch_names(settings: RoutesSettings) -> int:
    """An inotify descriptor that tells of names that go; -1 where the kernel has none left."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if (
        descriptor >= 0
        and libc.inotify_add_watch(descriptor, bytes(settings.directory), _IN_DELETE | _IN_MOVED_FROM) < 0
    ):
        os.close(descriptor)
        return -1
    return descriptor
