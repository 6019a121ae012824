"""The accounts of one host as network namespaces: found by name, opened when needed, the least used closed."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from addrcast.adapters.kernel import namespace
from addrcast.adapters.kernel.netlink_link import find_link, number_namespace
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket
from addrcast.adapters.kernel.routes_device import LOWER, Device
from addrcast.adapters.kernel.routes_entries import Entries
from addrcast.adapters.kernel.routes_nexthops import Nexthops

if TYPE_CHECKING:
    from addrcast.adapters.kernel.routes_settings import RoutesSettings


class Account:
    """One account's namespace, open: its devices and its entries. Another `inode` is another namespace."""

    def __init__(self, vni: int, *, substrate: NetlinkSocket, settings: RoutesSettings, port: int) -> None:
        self.vni = vni
        path = settings.namespace(vni)
        self.inode = os.stat(path).st_ino
        with namespace.inside(path):
            self.netlink = NetlinkSocket(port=port)
        self._device = Device(self.netlink, substrate, vni=vni, settings=settings)
        try:
            self.complete()
        except BaseException:
            self.netlink.close()
            raise

    def complete(self) -> None:
        """Make whole what the entries hang on. Raises OSError."""
        self.device = self._device.complete().number
        below = find_link(self.netlink, LOWER)
        nexthops = Nexthops(self.netlink, vni=self.vni, device=self.device, lower=below.number if below else 0)
        self.entries = Entries(self.netlink, nexthops)

    def upsert(self, logicals: list[str], physicals: list[str]) -> dict[str, str]:
        """Write entries; what was refused. Devices that somebody took down or away are made whole first."""
        refused = self.entries.upsert(logicals, physicals)
        if not refused:
            return refused
        self.complete()
        again = {logical: target for logical, target in zip(logicals, physicals, strict=True) if logical in refused}
        return self.entries.upsert(list(again), list(again.values()))

    def close(self) -> None:
        """Leave the namespace as it is."""
        self.netlink.close()

    def demolish(self) -> None:
        """Remove all entries, then the devices, then let go of the namespace."""
        try:
            self.entries.clear()
            self._device.remove()
        finally:
            self.netlink.close()


class Accounts:
    """All accounts of a host, used by one thread, which has to stay in the substrate's namespace.

    `numbers` is read by others: the number by which the substrate's namespace knows the one of an account, to its
    VNI, for all accounts that were opened and are not removed.
    """

    def __init__(self, settings: RoutesSettings, *, port: int) -> None:
        self.numbers: dict[int, int] = {}
        self._settings = settings
        self._port = port
        self._substrate = NetlinkSocket(port=port)
        self._open: OrderedDict[int, Account] = OrderedDict()

    def vnis(self) -> list[int]:
        """Every account that was ensured, by this process or an earlier one, in ascending order."""
        try:
            names = os.listdir(self._settings.directory)
        except FileNotFoundError:
            return []
        vnis = (self._settings.vni_of(name) for name in names)
        found = sorted(vni for vni in vnis if vni is not None and self._exists(vni))
        for vni in self._open.keys() - set(found):
            self.forget(vni)
        return found

    def ensure(self, vni: int) -> None:
        """Make an account, or make it whole. Raises OSError."""
        if self.find(vni) is not None:
            self._open[vni].complete()
            return
        namespace.create(self._settings.namespace(vni))
        self._opened(vni)

    def find(self, vni: int) -> Account | None:
        """An account, if it was ensured. Raises OSError."""
        path = self._settings.namespace(vni)
        if not namespace.is_namespace(path):
            self.forget(vni)
            return None
        account = self._open.get(vni)
        if account is not None and account.inode == os.stat(path).st_ino:
            self._open.move_to_end(vni)
            return account
        self.forget(vni)
        return self._opened(vni)

    def remove(self, vni: int) -> None:
        """Remove an account with its entries. Raises OSError."""
        account = self.find(vni)
        self._forget_number(vni)
        if account is not None:
            del self._open[vni]
            account.demolish()
        namespace.remove(self._settings.namespace(vni))

    def forget(self, vni: int) -> None:
        """Let go of an account whose namespace has lost its name: only this process still holds it."""
        self._forget_number(vni)
        if (account := self._open.pop(vni, None)) is not None:
            account.demolish()

    def close(self) -> None:
        """Leave everything in the kernel as it is."""
        for account in self._open.values():
            account.close()
        self._open.clear()
        self._substrate.close()

    def _exists(self, vni: int) -> bool:
        return namespace.is_namespace(self._settings.namespace(vni))

    def _opened(self, vni: int) -> Account:
        while len(self._open) >= self._settings.open_max:
            self._open.popitem(last=False)[1].close()
        account = Account(vni, substrate=self._substrate, settings=self._settings, port=self._port)
        self._open[vni] = account
        self.numbers[number_namespace(self._substrate, self._settings.namespace(vni))] = vni
        return account

    def _forget_number(self, vni: int) -> None:
        for number in [number for number, each in list(self.numbers.items()) if each == vni]:
            del self.numbers[number]
