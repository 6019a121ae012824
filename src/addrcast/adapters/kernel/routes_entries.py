"""The entries of one account: host routes to nexthops, written in batches, read back, cleaned up after."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from addrcast.adapters.kernel.netlink_link import AF_INET, AF_INET6
from addrcast.adapters.kernel.netlink_route import (
    OUR_PROTOCOL,
    RTM_GETROUTE,
    WIDTHS,
    KeyReader,
    RouteReader,
    pack,
    removal_template,
    route_template,
    routes_marked,
    unpack,
)
from addrcast.adapters.kernel.netlink_socket import DumpTorn
from addrcast.adapters.kernel.routes_nexthops import NO_ID
from addrcast.core.domain.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from addrcast.adapters.kernel.netlink_message import Refusal
    from addrcast.adapters.kernel.netlink_socket import NetlinkSocket
    from addrcast.adapters.kernel.routes_nexthops import Nexthops

R = TypeVar("R", bound=RouteReader)

_CHUNK = 8192
_DUMP_TRIES = 5
_TORN_RETRY_MS = 1000
_SWEEP_SHARE = 8
"""Nexthops are read as well once so great a part of the entries, one in eight, may have left one behind."""

_ROUTES = {family: route_template(family) for family in WIDTHS}
_REMOVALS = {family: removal_template(family) for family in WIDTHS}


class _Batch(NamedTuple):
    """Entries of one pair of families, packed, in the order given."""

    family: int
    logicals: bytes
    physical_family: int
    physicals: bytes


class Entries:
    """What an account's namespace translates; refusals are told by logical address, with the reason in words."""

    def __init__(self, netlink: NetlinkSocket, nexthops: Nexthops) -> None:
        self._netlink = netlink
        self._nexthops = nexthops
        self._is_swept = False
        self._changed = 0

    def upsert(self, logicals: list[str], physicals: list[str]) -> dict[str, str]:
        """Write entries, the last of two for one address last; what was refused."""
        self._changed += len(logicals)
        refused: dict[str, str] = {}
        for batch in _batches(logicals, physicals, refused):
            for part in _parts(batch):
                refused |= self._write(part)
        return refused

    def delete(self, logicals: Sequence[str]) -> dict[str, str]:
        """Remove entries; what is still there."""
        self._changed += len(logicals)
        refused: dict[str, str] = {}
        by_family: dict[int, list[str]] = {family: [] for family in WIDTHS}
        for logical in logicals:
            by_family[AF_INET6 if ":" in logical else AF_INET].append(logical)
        for family, some in by_family.items():
            if some:
                template = _REMOVALS[family]
                refusals = self._netlink.send_batch(template.fill(_packed(family, some)), template.size)
                for refusal in refusals:
                    if refusal.errno != errno.ESRCH:
                        refused |= _words(family, template.value(refusal.request, 0), refusal)
        return refused

    def read(self) -> dict[str, str]:
        """All entries with our mark; now and then, nexthops that none of them uses are removed.

        Raises Unavailable where others change the table without pause.
        """
        entries: dict[str, str] = {}
        used: set[int] = set()
        for family in WIDTHS:
            reader = self._read_family(family, RouteReader)
            entries |= reader.entries
            used |= reader.nexthops
        if not self._is_swept or self._changed * _SWEEP_SHARE > len(used):
            self._nexthops.sweep(used)
            self._is_swept, self._changed = True, 0
        return entries

    def clear(self) -> None:
        """Remove all entries with our mark, and all nexthops.

        Left to the kernel, each nexthop that ends would have it walk over the whole table for its routes.
        """
        for family in WIDTHS:
            reader = self._read_family(family, KeyReader)
            if reader.logicals:
                template = _REMOVALS[family]
                self._netlink.send_batch(template.fill(bytes(reader.logicals)), template.size)
        self._nexthops.sweep(frozenset())

    def _read_family(self, family: int, kind: type[R]) -> R:
        for _ in range(_DUMP_TRIES):
            reader = kind(family)
            try:
                for datagram in self._netlink.dump(RTM_GETROUTE, routes_marked(family, OUR_PROTOCOL)):
                    reader.read(datagram)
            except DumpTorn:
                continue
            return reader
        raise Unavailable("the routes change while they are read", retry_after_ms=_TORN_RETRY_MS)

    def _write(self, batch: _Batch) -> dict[str, str]:
        refused: dict[str, str] = {}
        family, logicals = batch.family, batch.logicals
        ids, failed = self._nexthops.ids(batch.physicals, batch.physical_family)
        if failed:
            width, target = WIDTHS[family], WIDTHS[batch.physical_family]
            kept = []
            for at in range(len(ids) // 4):
                logical = logicals[at * width : (at + 1) * width]
                identifier = ids[at * 4 : at * 4 + 4]
                if identifier == NO_ID:
                    refusal = failed[batch.physicals[at * target : (at + 1) * target]]
                    refused |= _words(family, logical, refusal)
                else:
                    kept.append((logical, identifier))
            logicals, ids = (b"".join(column) for column in zip(*kept, strict=True)) if kept else (b"", b"")
        if ids:
            template = _ROUTES[family]
            for refusal in self._netlink.send_batch(template.fill(logicals, ids), template.size):
                refused |= _words(family, template.value(refusal.request, 0), refusal)
        return refused


def _batches(logicals: list[str], physicals: list[str], refused: dict[str, str]) -> Iterator[_Batch]:
    """The entries as batches; addresses that are none go to `refused`."""
    try:
        yield _Batch(AF_INET, pack(AF_INET, logicals), AF_INET, pack(AF_INET, physicals))
        return
    except OSError:
        pass  # not all are IPv4: sort them, which keeps the order of one address's entries by keeping the last only
    sorted_out: dict[tuple[int, int], list[tuple[bytes, bytes]]] = {}
    for logical, physical in dict(zip(logicals, physicals, strict=True)).items():
        families = AF_INET6 if ":" in logical else AF_INET, AF_INET6 if ":" in physical else AF_INET
        try:
            packed = socket.inet_pton(families[0], logical), socket.inet_pton(families[1], physical)
        except OSError:
            refused[logical] = f"{logical} to {physical}: one of the two is not an address"
            continue
        sorted_out.setdefault(families, []).append(packed)
    for (family, physical_family), pairs in sorted_out.items():
        columns = [b"".join(column) for column in zip(*pairs, strict=True)]
        yield _Batch(family, columns[0], physical_family, columns[1])


def _parts(batch: _Batch) -> Iterator[_Batch]:
    width, target = WIDTHS[batch.family], WIDTHS[batch.physical_family]
    for begin in range(0, len(batch.logicals) // width, _CHUNK):
        end = begin + _CHUNK
        logicals = batch.logicals[begin * width : end * width]
        physicals = batch.physicals[begin * target : end * target]
        yield batch._replace(logicals=logicals, physicals=physicals)


def _packed(family: int, logicals: list[str]) -> bytes:
    """Addresses end to end, without those that are none: they cannot be in the table."""
    try:
        return pack(family, logicals)
    except OSError:
        return b"".join(each for each in map(_packed_or_nothing, logicals))


def _packed_or_nothing(logical: str) -> bytes:
    try:
        return socket.inet_pton(AF_INET6 if ":" in logical else AF_INET, logical)
    except OSError:
        return b""


def _words(family: int, logical: bytes, refusal: Refusal) -> dict[str, str]:
    (text,) = unpack(family, logical)
    return {text: refusal.text or os.strerror(refusal.errno)}
