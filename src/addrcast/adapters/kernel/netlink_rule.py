"""Routing policy rules: which sources a device may send from, in IPv6, which has no reverse path filter.

Source: include/uapi/linux/fib_rules.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.kernel.netlink_message import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Malformed,
    attribute,
    attributes,
    messages,
    text,
    u8,
    u32,
)
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket, Refused

if TYPE_CHECKING:
    from addrcast.adapters.kernel.netlink_message import Message

RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
AF_INET6 = 10

_RULE = struct.Struct("=BBBBBxxBI")
"""struct fib_rule_hdr: family, target and source prefix, TOS, table, action, flags."""
_FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_PROTOCOL = 2, 3, 6, 21
_FR_ACT_TO_TBL, _FR_ACT_BLACKHOLE = 1, 6
_RT_TABLE_MAIN = 254
_FIB_RULE_IIF_DETACHED = 0x8
_ALLOW_PRIORITY, _DROP_PRIORITY = 1000, 1001
_EEXIST, _ENOENT = 17, 2


class _Rule(NamedTuple):
    device: str
    is_detached: bool
    protocol: int
    request: bytes


def allow_sources(netlink: NetlinkSocket, device: str, sources: list[bytes], *, protocol: int) -> None:
    """Have what comes from a device forwarded from these IPv6 addresses, and dropped from all others.

    What is for the namespace itself is looked up before, in the table `local`. Raises Refused.
    """
    name, mark = text(_FRA_IIFNAME, device), u8(_FRA_PROTOCOL, protocol)
    for source in sources:
        body = _RULE.pack(AF_INET6, 0, len(source) * 8, 0, _RT_TABLE_MAIN, _FR_ACT_TO_TBL, 0)
        _add(netlink, body + attribute(_FRA_SRC, source) + name + u32(_FRA_PRIORITY, _ALLOW_PRIORITY) + mark)
    body = _RULE.pack(AF_INET6, 0, 0, 0, 0, _FR_ACT_BLACKHOLE, 0)
    _add(netlink, body + name + u32(_FRA_PRIORITY, _DROP_PRIORITY) + mark)


def drop_rules(netlink: NetlinkSocket, device: str, *, protocol: int) -> None:
    """Remove the rules of a device, and those with our mark whose device is gone. Raises Refused."""
    asked = _RULE.pack(AF_INET6, 0, 0, 0, 0, 0, 0)
    found = [_read(each) for datagram in netlink.dump(RTM_GETRULE, asked) for each in messages(datagram)]
    for rule in found:
        if rule.protocol == protocol and (rule.is_detached or rule.device == device):
            try:
                netlink.request(RTM_DELRULE, 0, rule.request)
            except Refused as refused:
                if refused.errno != _ENOENT:
                    raise


def _add(netlink: NetlinkSocket, body: bytes) -> None:
    try:
        netlink.request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body)
    except Refused as refused:
        if refused.errno != _EEXIST:
            raise


def _read(answer: Message) -> _Rule:
    if len(answer.body) < _RULE.size:
        raise Malformed("a rule message without its header")
    family, target, source, tos, table, action, flags = _RULE.unpack_from(answer.body)
    found = attributes(answer.body[_RULE.size :])
    wanted = {_FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_PROTOCOL}
    body = _RULE.pack(family, target, source, tos, table, action, 0)
    body += b"".join(attribute(kind, bytes(value)) for kind, value in found.items() if kind in wanted)
    device = bytes(found.get(_FRA_IIFNAME, b"")).rstrip(b"\0").decode(errors="replace")
    protocol = found[_FRA_PROTOCOL][0] if _FRA_PROTOCOL in found else 0
    return _Rule(device, bool(flags & _FIB_RULE_IIF_DETACHED), protocol, body)
