"""The default kernel table: a network namespace for each account, a host route for each entry.

Netlink blocks, so all of it happens in one thread of the backend's own, which stays in the substrate's namespace.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from addrcast.adapters.kernel.attach import attach, detach
from addrcast.adapters.kernel.namespace import enter
from addrcast.adapters.kernel.routes_accounts import Accounts
from addrcast.adapters.kernel.routes_events import Events
from addrcast.adapters.kernel.routes_settings import RoutesSettings
from addrcast.core.dataplane.table import Rejected, TableKey
from addrcast.core.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from addrcast.adapters.kernel.attach import Interface
    from addrcast.core.dataplane.table import Table, TableEntry

T = TypeVar("T")

_RETRY_MS = 1000


class RoutesKernel:
    """The kernel port on routes and nexthop objects; see docs/design/dataplane.md.

    What it writes stays in the kernel when it is closed. Only routes and nexthops of protocol 80 in namespaces
    with the settings' prefix are touched.
    """

    def __init__(self, settings: RoutesSettings) -> None:
        self.settings = settings
        self._port = 1 << 31 | secrets.randbits(30)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="routes")
        self._accounts: Accounts

    @classmethod
    async def open(cls, settings: RoutesSettings | None = None) -> Self:
        """A table over what is in the kernel. Raises Unavailable where the rights for it are missing."""
        kernel = cls(settings or RoutesSettings())
        try:
            await kernel._in_thread(kernel._start)
        except BaseException:
            kernel._thread.shutdown(wait=False)
            raise
        return kernel

    async def close(self) -> None:
        """Let go of the kernel, which keeps all entries."""
        await self._in_thread(self._accounts.close)
        self._thread.shutdown()

    async def ensure_account(self, vni: int) -> None:
        """See the port."""
        await self._in_thread(lambda: self._accounts.ensure(vni))

    async def remove_account(self, vni: int) -> None:
        """See the port."""
        await self._in_thread(lambda: self._accounts.remove(vni))

    async def upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        """See the port."""
        return await self._in_thread(lambda: self._upsert(entries))

    async def delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        """See the port."""
        return await self._in_thread(lambda: self._delete(keys))

    async def dump(self) -> Table:
        """See the port."""
        return await self._in_thread(self._dump)

    async def disturbances(self) -> AsyncGenerator[str, None]:
        """See the port; what comes while nobody asks is told as one."""
        reasons: asyncio.Queue[str] = asyncio.Queue(1)

        def tell(reason: str) -> None:
            if reasons.empty():
                reasons.put_nowait(reason)

        def lost(vni: int) -> None:
            self._thread.submit(self._accounts.forget, vni)

        events = await self._in_thread(lambda: Events(self.settings, self._accounts.numbers, port=self._port))
        events.start(tell, lost)
        try:
            while True:
                yield await reasons.get()
        finally:
            events.stop()

    async def attach(self, vni: int, interface: Interface) -> None:
        """Put an instance's interface into an account that was ensured; nothing changes where it is there.

        Raises Invalid where the account was not ensured or an address is none; Unavailable.
        """
        await self._in_thread(lambda: self._attach(vni, interface))

    async def detach(self, vni: int, logical: str) -> None:
        """Take the interface with a logical address out of its account; nothing where it is not there."""
        await self._in_thread(lambda: self._detach(vni, logical))

    async def _in_thread(self, act: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, act)
        except OSError as error:
            raise Unavailable(f"kernel table: {error}", retry_after_ms=_RETRY_MS) from error

    # below: the thread

    def _start(self) -> None:
        if self.settings.substrate is not None:
            enter(self.settings.substrate)
        self._accounts = Accounts(self.settings, port=self._port)

    def _upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        rejected: list[Rejected] = []
        for vni, (logicals, physicals) in _by_account(entries).items():
            account = self._accounts.find(vni)
            if account is None:
                reason = f"no account has the VNI {vni}; ensure it first"
                rejected += [Rejected(TableKey(vni, logical), reason) for logical in logicals]
                continue
            refused = account.upsert(logicals, physicals)
            rejected += [Rejected(TableKey(vni, logical), reason) for logical, reason in refused.items()]
        return tuple(rejected)

    def _delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        rejected: list[Rejected] = []
        by_account: dict[int, list[str]] = {}
        for vni, logical in keys:
            by_account.setdefault(vni, []).append(logical)
        for vni, logicals in by_account.items():
            if (account := self._accounts.find(vni)) is not None:
                refused = account.entries.delete(logicals)
                rejected += [Rejected(TableKey(vni, logical), reason) for logical, reason in refused.items()]
        return tuple(rejected)

    def _dump(self) -> Table:
        table: dict[int, dict[str, str]] = {}
        for vni in self._accounts.vnis():
            if (account := self._accounts.find(vni)) is not None:
                table[vni] = account.entries.read()
        return table

    def _attach(self, vni: int, interface: Interface) -> None:
        if (account := self._accounts.find(vni)) is None:
            raise Invalid("vni", vni, "an account that this host serves")
        path = self.settings.namespace(vni)
        attach(account.netlink, path, interface, mtu_bytes=self.settings.instance_mtu)

    def _detach(self, vni: int, logical: str) -> None:
        if (account := self._accounts.find(vni)) is not None:
            detach(account.netlink, logical)


def _by_account(entries: Sequence[TableEntry]) -> dict[int, tuple[list[str], list[str]]]:
    """Logical and physical addresses of each account, in the order given."""
    if not entries:
        return {}
    vnis, logicals, physicals = zip(*entries, strict=True)
    if vnis.count(vnis[0]) == len(vnis):
        return {vnis[0]: (list(logicals), list(physicals))}
    by_account: dict[int, tuple[list[str], list[str]]] = {}
    for vni, logical, physical in entries:
        columns = by_account.setdefault(vni, ([], []))
        columns[0].append(logical)
        columns[1].append(physical)
    return by_account
