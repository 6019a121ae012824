"""The nexthop objects of one account: the id of each physical address, made when it is first needed."""

from __future__ import annotations

import errno
from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING

from addrcast.adapters.kernel.netlink_link import AF_INET
from addrcast.adapters.kernel.netlink_message import Refusal, messages
from addrcast.adapters.kernel.netlink_neighbour import (
    RTM_DELNEIGH,
    RTM_NEWNEIGH,
    forwarding_template,
    gateway_neighbour_template,
)
from addrcast.adapters.kernel.netlink_route import (
    ALL_NEXTHOPS,
    NEXTHOP_REMOVAL,
    OUR_PROTOCOL,
    RTM_GETNEXTHOP,
    WIDTHS,
    Nexthop,
    family_of,
    gateway_template,
    nexthop_template,
    one_nexthop,
    read_nexthop,
)
from addrcast.adapters.kernel.netlink_socket import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from addrcast.adapters.kernel.netlink_socket import NetlinkSocket

NO_ID = bytes(4)
_KNOWN_MAX = 65_536
_CANDIDATES = 16
_RESERVED = 0xE0
"""IPv4 addresses from 224.0.0.0 on are no one host's: ids that are no address lie there."""


class Nexthops:
    """Ids of physical addresses in one account.

    An IPv4 address is its own id, as its four bytes lie in memory. Another address, and one whose id somebody
    else has taken, gets one by its hash. So nothing has to be remembered for each entry; what is kept is a bounded
    memory of what need not be asked for. `lower` is the VXLAN device of the plain variant, under `device`.
    """

    def __init__(self, netlink: NetlinkSocket, *, vni: int, device: int, lower: int = 0) -> None:
        self._netlink = netlink
        self._device = device
        self._lower = lower
        self._new = {
            family: gateway_template(device, family) if lower else nexthop_template(vni, device, family)
            for family in WIDTHS
        }
        self._own: set[int] = set()
        self._hashed: dict[int, dict[bytes, bytes]] = {family: {} for family in WIDTHS}

    def ids(self, physicals: bytes, family: int) -> tuple[bytes, dict[bytes, Refusal]]:
        """The ids of addresses that lie end to end, each with a nexthop; NO_ID for those that could get none."""
        if family == AF_INET and not self._hashed[AF_INET]:
            # in the order given: neighbours in the kernel's tree are then made one after the other
            new = [each for each in dict.fromkeys(memoryview(physicals).cast("I")) if each not in self._own]
            if not new:
                return physicals, {}
            column = array("I", new).tobytes()
            if not self._make(family, column, column):
                self._keep_own(new)
                return physicals, {}
        width = WIDTHS[family]
        values = [physicals[at : at + width] for at in range(0, len(physicals), width)]
        ids, failed = self._resolve(dict.fromkeys(values), family)
        return b"".join([ids.get(value, NO_ID) for value in values]), failed

    def forget(self) -> None:
        """Take no nexthop for granted any more: somebody has removed some."""
        self._own.clear()
        for hashed in self._hashed.values():
            hashed.clear()

    def sweep(self, used: AbstractSet[int]) -> int:
        """Remove our nexthops that no route uses, given the ids that are used; how many."""
        idle = [each for each in self._all() if each.id not in used and each.physical]
        self.forget()
        ids = array("I", (each.id for each in idle)).tobytes()
        if ids:
            self._netlink.send_batch(NEXTHOP_REMOVAL.fill(ids), NEXTHOP_REMOVAL.size)
        if self._lower:
            for family in WIDTHS:
                some = [each for each in idle if family_of(each.physical) == family]
                physicals = b"".join(each.physical for each in some)
                self._neighbours(RTM_DELNEIGH, family, physicals, array("I", (each.id for each in some)).tobytes())
        return len(idle)

    def _all(self) -> Iterable[Nexthop]:
        """Those with our mark, on our device."""
        for datagram in self._netlink.dump(RTM_GETNEXTHOP, ALL_NEXTHOPS):
            for each in map(read_nexthop, messages(datagram)):
                if each.protocol == OUR_PROTOCOL and each.device == self._device:
                    yield each

    def _keep_own(self, new: list[int]) -> None:
        if len(self._own) > _KNOWN_MAX:
            self._own.clear()
        self._own.update(new)

    def _resolve(self, values: Iterable[bytes], family: int) -> tuple[dict[bytes, bytes], dict[bytes, Refusal]]:
        """Each address with its id, made where it is new; candidates in turn, since one may be another's."""
        hashed = self._hashed[family]
        if len(hashed) > _KNOWN_MAX:
            hashed.clear()
        ids = {value: hashed[value] for value in values if value in hashed}
        asked = [value for value in values if value not in hashed]
        failed: dict[bytes, Refusal] = {}
        for turn in range(_CANDIDATES):
            candidates = [_candidate(value, turn) for value in asked]
            refused = self._make(family, b"".join(candidates), b"".join(asked)) if asked else {}
            made = {value: each for value, each in zip(asked, candidates, strict=True) if value not in refused}
            hashed |= made
            ids |= made
            failed |= {value: each for value, each in refused.items() if each.errno != errno.EEXIST}
            asked = [value for value, each in refused.items() if each.errno == errno.EEXIST]
        return ids, failed | {value: Refusal(errno.EEXIST, "no id is left for a nexthop", b"") for value in asked}

    def _make(self, family: int, ids: bytes, physicals: bytes) -> dict[bytes, Refusal]:
        """Make nexthops; the addresses whose one was refused: with EEXIST, the id belongs to something else."""
        template = self._new[family]
        refusals = self._netlink.send_batch(template.fill(ids, physicals), template.size)
        failed: dict[bytes, Refusal] = {}
        for refusal in refusals:
            identifier, physical = template.value(refusal.request, 0), template.value(refusal.request, 1)
            if refusal.errno != errno.EEXIST or not self._is_ours(identifier, physical):
                failed[physical] = refusal
        if self._lower:
            for physical, refusal in self._neighbours(RTM_NEWNEIGH, family, physicals, ids).items():
                failed.setdefault(physical, refusal)
        return failed

    def _neighbours(self, kind: int, family: int, physicals: bytes, ids: bytes) -> dict[bytes, Refusal]:
        """The plain variant's way from a gateway to a physical address, by a MAC address that ends with the id."""
        failed: dict[bytes, Refusal] = {}
        if not physicals:
            return failed
        for template in (
            gateway_neighbour_template(self._device, family, kind),
            forwarding_template(self._lower, family, kind),
        ):
            for refusal in self._netlink.send_batch(template.fill(physicals, ids), template.size):
                failed[template.value(refusal.request, 0)] = refusal
        return failed

    def _is_ours(self, identifier: bytes, physical: bytes) -> bool:
        try:
            found = read_nexthop(self._netlink.ask(RTM_GETNEXTHOP, one_nexthop(identifier)))
        except Refused:
            return False
        return found.protocol == OUR_PROTOCOL and found.device == self._device and found.physical == physical


def _candidate(physical: bytes, turn: int) -> bytes:
    """The id to try in a turn, as its four bytes lie in memory."""
    if turn == 0 and family_of(physical) == AF_INET:
        return physical
    digest = blake2b(physical, digest_size=4, salt=turn.to_bytes(4, "little")).digest()
    return bytes([_RESERVED | digest[0] & 0x1F]) + digest[1:]
