"""The kernel table as maps of BPF programs: one hash map for all accounts, written in batches.

System calls block, so all of it happens in one thread of the backend's own, which stays in the substrate's
namespace.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from addrcast.adapters.kernel import bpf_attach, bpf_tunnel
from addrcast.adapters.kernel.bpf_entries import VNI_MAX, WIDTH, batches, key_batches, texts
from addrcast.adapters.kernel.bpf_pins import Pins
from addrcast.adapters.kernel.bpf_settings import BpfSettings
from addrcast.adapters.kernel.namespace import enter
from addrcast.adapters.kernel.netlink_socket import NETLINK_ROUTE, NetlinkSocket
from addrcast.core.dataplane.table import Rejected, TableKey
from addrcast.core.domain.errors import Exhausted, Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from addrcast.adapters.kernel.attach import Interface
    from addrcast.core.dataplane.table import Table, TableEntry

T = TypeVar("T")

_RETRY_MS = 1000
_CHUNK = 4096
_GROUP_LINK = 1
_NUMBER = struct.Struct("=I")
_VNI = itemgetter(0)
_MARK = _NUMBER.pack(1)
_DROP_REASONS = ("malformed", "spoofed", "no entry", "not here", "unanswered")
_POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")


class BpfKernel:
    """The kernel port on BPF maps; see docs/design/dataplane.md.

    What it writes stays in the kernel when it is closed: the maps bear our mark by being ours.
    """

    def __init__(self, settings: BpfSettings) -> None:
        self.settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bpf")
        self._pins: Pins
        self._netlink: NetlinkSocket
        self._memory_bytes = (0, 0)

    @classmethod
    async def open(cls, settings: BpfSettings | None = None) -> Self:
        """A table over what is in the kernel. Raises Unavailable where the rights for it are missing, Invalid."""
        kernel = cls(settings or BpfSettings())
        try:
            await kernel._in_thread(kernel._start)
        except BaseException:
            kernel._thread.shutdown(wait=False)
            raise
        return kernel

    async def close(self) -> None:
        """Let go of the kernel, which keeps all entries and goes on with packets."""
        await self._in_thread(self._stop)
        self._thread.shutdown()

    async def ensure_account(self, vni: int) -> None:
        """See the port. Raises Invalid for what is no VNI, Exhausted where the setting allows no more accounts."""
        await self._in_thread(lambda: self._ensure(vni))

    async def remove_account(self, vni: int) -> None:
        """See the port."""
        await self._in_thread(lambda: self._remove(vni))

    async def upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        """See the port."""
        return await self._in_thread(lambda: self._upsert(entries))

    async def delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        """See the port."""
        return await self._in_thread(lambda: self._delete(keys))

    async def dump(self) -> Table:
        """See the port."""
        return await self._in_thread(self._dump)

    async def drops(self) -> dict[str, int]:
        """How many packets the programs have dropped since the maps were made, by reason."""
        return await self._in_thread(self._drops)

    async def attach(self, vni: int, interface: Interface) -> None:
        """Put an instance's interface into an account that was ensured; nothing changes where it is there.

        Raises Invalid where the account was not ensured or an address is none; Unavailable.
        """
        await self._in_thread(lambda: self._attach(vni, interface))

    async def detach(self, vni: int, logical: str) -> None:
        """Take the interface with a logical address out of its account; nothing where it is not there."""
        await self._in_thread(lambda: bpf_attach.detach(self._netlink, self._pins, vni, logical))

    async def disturbances(self) -> AsyncGenerator[str, None]:
        """See the port; what is mended without a loss of entries is told as well.

        Maps tell nobody of changes, so their number of entries is looked at now and then; links tell at once.
        """
        links = await self._in_thread(_listen)
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def heard() -> None:
            with suppress(BlockingIOError, OSError):  # ENOBUFS: something has changed all the same
                while links.recv(1 << 16):
                    pass
            changed.set()

        loop.add_reader(links, heard)
        try:
            while True:
                changed.clear()
                for reason in await self._in_thread(self._check):
                    yield reason
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), self.settings.poll_s)
        finally:
            loop.remove_reader(links)
            links.close()

    async def _in_thread(self, act: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, act)
        except OSError as error:
            raise Unavailable(f"kernel table: {error}", retry_after_ms=_RETRY_MS) from error

    # below: the thread

    def _start(self) -> None:
        if self.settings.substrate is not None:
            enter(self.settings.substrate)
        self._netlink = NetlinkSocket()
        try:
            self._pins = Pins(self.settings)
            try:
                self._mend()
                self._remember()
            except BaseException:
                self._pins.close()
                raise
        except BaseException:
            self._netlink.close()
            raise

    def _stop(self) -> None:
        self._netlink.close()
        self._pins.close()

    def _mend(self) -> list[str]:
        done = [f"the map {name} had lost its name" for name in self._pins.repair()]
        done += bpf_tunnel.complete(self._netlink, self._pins, self.settings)
        return done + bpf_attach.sweep(self._pins, tunnel=self.settings.tunnel)

    def _sizes(self) -> tuple[int, int]:
        return self._pins.maps["entries"].memory_bytes(), self._pins.maps["accounts"].memory_bytes()

    def _remember(self) -> None:
        self._memory_bytes = self._sizes()

    def _check(self) -> list[str]:
        done = self._mend()
        if self._sizes() != self._memory_bytes:
            self._remember()
            done.append("another has written or removed entries")
        return done

    def _ensure(self, vni: int) -> None:
        if not 0 <= vni <= VNI_MAX:
            raise Invalid("vni", vni, f"0 to {VNI_MAX}")
        self._mend()
        try:
            self._pins.maps["accounts"].put(_NUMBER.pack(vni), _MARK)
        except OSError as error:
            if error.errno == errno.E2BIG:
                most = self.settings.accounts_max
                raise Exhausted("accounts of this host", asked=1, free=0, way_out=_grow("accounts", most)) from None
            raise
        self._remember()

    def _is_ensured(self, vni: int) -> bool:
        return 0 <= vni <= VNI_MAX and self._pins.maps["accounts"].get(_NUMBER.pack(vni)) is not None

    def _remove(self, vni: int) -> None:
        if not self._is_ensured(vni):
            return
        bpf_attach.detach_account(self._netlink, self._pins, vni)
        entries = self._pins.maps["entries"]
        keys = entries.read().keys
        heads = memoryview(keys).cast("I")[:: WIDTH // 4].tolist()
        own = [keys[at * WIDTH : (at + 1) * WIDTH] for at, head in enumerate(heads) if head & VNI_MAX == vni]
        for _, code in entries.erase(bytearray().join(own)):
            raise OSError(code, f"removing an entry: {os.strerror(code)}")
        self._pins.maps["accounts"].remove(_NUMBER.pack(vni))  # last, so that a repeat finds what is left
        self._remember()

    def _upsert(self, entries: Sequence[TableEntry]) -> tuple[Rejected, ...]:
        rejected: list[Rejected] = []
        strange = {vni for vni in set(map(_VNI, entries)) if not self._is_ensured(vni)}
        if strange:
            refused = [entry.key for entry in entries if entry.vni in strange]
            rejected += [Rejected(key, f"no account has the VNI {key.vni}; ensure it first") for key in refused]
            entries = [entry for entry in entries if entry.vni not in strange]
        table = self._pins.maps["entries"]
        try:
            for begin in range(0, len(entries), _CHUNK):
                for batch in batches(entries[begin : begin + _CHUNK], rejected):
                    refusals = table.write(batch.keys, batch.values)
                    rejected += [Rejected(batch.name(index), self._words(code)) for index, code in refusals]
        finally:
            self._remember()
        return tuple(rejected)

    def _words(self, code: int) -> str:
        if code == errno.E2BIG:
            return f"the table is full; {_grow('entries', self.settings.entries_max)}"
        return os.strerror(code)

    def _delete(self, keys: Sequence[TableKey]) -> tuple[Rejected, ...]:
        rejected: list[Rejected] = []
        for begin in range(0, len(keys), _CHUNK):
            for batch in key_batches(keys[begin : begin + _CHUNK]):
                refused = self._pins.maps["entries"].erase(batch.keys)
                rejected += [Rejected(batch.name(index), self._words(code)) for index, code in refused]
        self._remember()
        return tuple(rejected)

    def _dump(self) -> Table:
        self._mend()
        accounts = memoryview(self._pins.maps["accounts"].read().keys).cast("I")
        table: dict[int, dict[str, str]] = {vni: {} for vni in sorted(accounts)}
        columns = self._pins.maps["entries"].read()
        if columns.keys:
            for vni, logicals, physicals in texts(columns):
                if vni in table:  # others are left over from a removal that was cut short, or not ours
                    table[vni].update(zip(logicals, physicals, strict=True))
        return table

    def _attach(self, vni: int, interface: Interface) -> None:
        if not self._is_ensured(vni):
            raise Invalid("vni", vni, "an account that this host serves")
        bpf_attach.attach(self._netlink, self._pins, vni, interface, mtu_bytes=self.settings.instance_mtu)

    def _drops(self) -> dict[str, int]:
        last = _POSSIBLE_CPUS.read_text().strip().rpartition("-")[2].rpartition(",")[2]
        per_cpu = struct.Struct(f"={int(last) + 1}Q")
        counts = self._pins.maps["drops"]
        return {
            reason: sum(per_cpu.unpack(counts.get(_NUMBER.pack(at), size=per_cpu.size) or bytes(per_cpu.size)))
            for at, reason in enumerate(_DROP_REASONS)
        }


def _grow(setting: str, most: int) -> str:
    return f"the setting {setting}_max allows {most}, make it larger and start again"


def _listen() -> socket.socket:
    """A socket that hears of changes to links in the namespace of the thread."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    links = socket.socket(socket.AF_NETLINK, kind, NETLINK_ROUTE)
    try:
        links.bind((0, 1 << _GROUP_LINK - 1))
    except BaseException:
        links.close()
        raise
    return links
