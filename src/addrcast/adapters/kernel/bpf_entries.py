"""Entries as the columns of a map: addresses in text to bytes and back, many at a time.

Keys and values are those of bpf/dataplane.c: `struct key` (VNI and family, address) and `struct target`.
"""

from __future__ import annotations

import socket
import struct
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from addrcast.adapters.kernel.netlink_link import AF_INET, AF_INET6
from addrcast.adapters.kernel.netlink_route import WIDTHS, pack, unpack
from addrcast.core.dataplane.table import Rejected, TableKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from addrcast.adapters.kernel.bpf_map import Columns
    from addrcast.core.dataplane.table import TableEntry

WIDTH = 20
"""Bytes of a key, and of a value."""
VNI_MAX = (1 << 24) - 1
_FAMILY_SHIFT = 24
_ADDRESS_OFFSET = 4
_HEAD = struct.Struct("<I")
_NUMBERS = {AF_INET: 4, AF_INET6: 6}
_FAMILIES = {number: family for family, number in _NUMBERS.items()}
_DOMAINS = (AF_INET, AF_INET6)


class Batch(NamedTuple):
    """Elements in order, and whose they are: entries, or keys."""

    keys: bytearray
    values: bytearray
    whose: Sequence[TableEntry] | Sequence[TableKey]

    def name(self, index: int) -> TableKey:
        """Whose the element of an index is."""
        vni, logical, *_ = self.whose[index]
        return TableKey(vni, logical)


def key_of(vni: int, packed: bytes) -> bytes:
    """The key of one packed address."""
    family = AF_INET if len(packed) == WIDTHS[AF_INET] else AF_INET6
    return _HEAD.pack(vni | _NUMBERS[family] << _FAMILY_SHIFT) + packed.ljust(16, b"\0")


def batches(entries: Sequence[TableEntry], rejected: list[Rejected]) -> Iterator[Batch]:
    """Entries as batches, of two for one key the last one last; what is no address goes to `rejected`."""
    addresses: list[Any] = list(chain.from_iterable(entries))
    vnis: list[int] = addresses[0::3]
    del addresses[0::3]  # what is left are logical and physical addresses in turn
    try:
        column = pack(AF_INET, addresses)
    except (OSError, ValueError):  # the latter for a text with a zero in it
        yield from _sorted_out(entries, rejected)
        return
    keys = _elements(_heads(vnis, AF_INET), column, AF_INET, at=0, step=2)
    yield Batch(keys, _elements(_HEAD.pack(_NUMBERS[AF_INET]), column, AF_INET, at=1, step=2), entries)


def key_batches(keys: Sequence[TableKey]) -> Iterator[Batch]:
    """Keys as batches without values; what is no address is left out, since it cannot be in a map."""
    for domain in _DOMAINS:
        some = [key for key in keys if (":" in key.logical) == (domain == AF_INET6) and 0 <= key.vni <= VNI_MAX]
        try:
            column = pack(domain, [key.logical for key in some])
        except (OSError, ValueError):
            some = [key for key in some if is_address(key.logical)]
            column = pack(domain, [key.logical for key in some])
        if some:
            heads = _heads([key.vni for key in some], domain)
            yield Batch(_elements(heads, column, domain), bytearray(), some)


def is_address(text: str) -> bool:
    """Whether a text is an address of the family that it looks like."""
    try:
        socket.inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def texts(columns: Columns) -> Iterator[tuple[int, list[str], list[str]]]:
    """What was read, as groups of one VNI: the VNI, logical addresses, physical ones. One VNI may come again."""
    heads = memoryview(columns.keys).cast("I")[:: WIDTH // 4].tolist()
    families = memoryview(columns.values).cast("I")[:: WIDTH // 4].tolist()
    kinds = set(zip(heads, families, strict=True))
    if len(kinds) == 1:
        ((head, family),) = kinds
        yield _group(head, family, columns.keys, columns.values)
        return
    places: dict[tuple[int, int], list[int]] = {kind: [] for kind in kinds}
    for at, kind in enumerate(zip(heads, families, strict=True)):
        places[kind].append(at * WIDTH)
    for (head, family), offsets in places.items():
        keys = b"".join([columns.keys[at : at + WIDTH] for at in offsets])
        values = b"".join([columns.values[at : at + WIDTH] for at in offsets])
        yield _group(head, family, keys, values)


def _group(head: int, physical_family: int, keys: bytes, values: bytes) -> tuple[int, list[str], list[str]]:
    vni, family = head & VNI_MAX, _FAMILIES[head >> _FAMILY_SHIFT]
    target = _FAMILIES[physical_family]
    return vni, unpack(family, _addresses(keys, family)), unpack(target, _addresses(values, target))


def _addresses(elements: bytes, family: int) -> bytes:
    width = WIDTHS[family]
    column = bytearray(len(elements) // WIDTH * width)
    for at in range(width):
        column[at::width] = elements[_ADDRESS_OFFSET + at :: WIDTH]
    return bytes(column)


def _heads(vnis: Sequence[int], family: int) -> bytes:
    """The first words of keys; one word where all are the same."""
    number = _NUMBERS[family] << _FAMILY_SHIFT
    if vnis and vnis.count(vnis[0]) == len(vnis):
        return _HEAD.pack(vnis[0] | number)
    return array("I", [vni | number for vni in vnis]).tobytes()


def _elements(heads: bytes, addresses: bytes, family: int, *, at: int = 0, step: int = 1) -> bytearray:
    """Elements of one family; the columns go in by strided slices, a step of C for each byte.

    The address of each is one of `step` that lie side by side, the one of the index `at`.
    """
    width = WIDTHS[family]
    count = len(addresses) // (width * step)
    if len(heads) == _HEAD.size:
        elements = bytearray(heads.ljust(WIDTH, b"\0")) * count
    else:
        elements = bytearray(WIDTH * count)
        for byte in range(_HEAD.size):
            elements[byte::WIDTH] = heads[byte :: _HEAD.size]
    for byte in range(width):
        elements[_ADDRESS_OFFSET + byte :: WIDTH] = addresses[at * width + byte :: width * step]
    return elements


def _sorted_out(entries: Sequence[TableEntry], rejected: list[Rejected]) -> Iterator[Batch]:
    # batches of one pair of families lose the order between them: only the last entry of each key is kept
    groups: dict[tuple[int, int], list[TableEntry]] = {}
    for entry in {entry.key: entry for entry in entries}.values():
        _, logical, physical = entry
        if not is_address(logical) or not is_address(physical):
            rejected.append(Rejected(entry.key, f"{logical} to {physical}: one of the two is not an address"))
            continue
        kind = AF_INET6 if ":" in logical else AF_INET, AF_INET6 if ":" in physical else AF_INET
        groups.setdefault(kind, []).append(entry)
    for (family, target), some in groups.items():
        heads = _heads([entry.vni for entry in some], family)
        keys = _elements(heads, pack(family, [entry.logical for entry in some]), family)
        column = pack(target, [entry.physical for entry in some])
        yield Batch(keys, _elements(_HEAD.pack(_NUMBERS[target]), column, target), some)
