"""Netlink messages as bytes: the header, attributes, and reading both back from whatever comes.

Source: include/uapi/linux/netlink.h. Numbers are in host byte order unless an attribute says otherwise.
"""

from __future__ import annotations

import struct
from sys import byteorder
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length with the header, type, flags, sequence number, port."""
ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")
_ALIGN = 4

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSGERR_ATTR_MSG = 1

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF


class Malformed(Exception):
    """Bytes that are no netlink message; the kernel sends none, so this is a bug on one side."""


class Message(NamedTuple):
    """One message: its type, flags, number, the port it answers to or came from, and what follows the header."""

    kind: int
    flags: int
    sequence: int
    port: int
    body: memoryview


class Refusal(NamedTuple):
    """What the kernel did not do: a positive errno, its words where it has some, and the request it refers to."""

    errno: int
    text: str
    request: bytes


def message(kind: int, flags: int, body: bytes, *, sequence: int = 0) -> bytes:
    """One request, padded to a multiple of four bytes, so that requests can be joined."""
    length = HEADER.size + len(body)
    return HEADER.pack(length, kind, NLM_F_REQUEST | flags, sequence, 0) + body + bytes(-length % _ALIGN)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % _ALIGN)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    """An attribute of one byte."""
    return attribute(kind, value.to_bytes(1, "little"))


def u16(kind: int, value: int) -> bytes:
    """An attribute of two bytes in host order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """An attribute of four bytes in host order."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """A string attribute, ended by a zero."""
    return attribute(kind, value.encode() + b"\0")


def messages(buffer: bytes | bytearray | memoryview) -> Iterator[Message]:
    """The messages of one datagram, in order. Raises Malformed."""
    view = memoryview(buffer)
    offset, end = 0, len(view)
    while offset < end:
        if end - offset < HEADER.size:
            raise Malformed(f"{end - offset} bytes are no header")
        length, kind, flags, sequence, port = HEADER.unpack_from(view, offset)
        if not HEADER.size <= length <= end - offset:
            raise Malformed(f"a message of {length} bytes where {end - offset} are left")
        yield Message(kind, flags, sequence, port, view[offset + HEADER.size : offset + length])
        offset += length + -length % _ALIGN


def attributes(buffer: bytes | memoryview) -> dict[int, memoryview]:
    """Attributes by type, the last of several with one type; flags of the type are dropped. Raises Malformed."""
    view = memoryview(buffer)
    return {kind: view[begin:end] for kind, (begin, end) in spans(view, 0, len(view)).items()}


def spans(view: memoryview, begin: int, end: int) -> dict[int, tuple[int, int]]:
    """Where the values of the attributes between two offsets lie, by type. Raises Malformed."""
    found: dict[int, tuple[int, int]] = {}
    offset = begin
    while offset < end:
        if end - offset < _ATTRIBUTE.size:
            raise Malformed(f"{end - offset} bytes are no attribute")
        length, kind = _ATTRIBUTE.unpack_from(view, offset)
        if not _ATTRIBUTE.size <= length <= end - offset:
            raise Malformed(f"an attribute of {length} bytes where {end - offset} are left")
        found[kind & _NLA_TYPE_MASK] = offset + _ATTRIBUTE.size, offset + length
        offset += length + -length % _ALIGN
    return found


def number(value: memoryview) -> int:
    """The value of an attribute that holds an unsigned number in host order, of any width up to eight bytes."""
    if not 1 <= len(value) <= 8:
        raise Malformed(f"{len(value)} bytes are no number")
    return int.from_bytes(value, byteorder)


def refusal(error: Message) -> Refusal | None:
    """What an NLMSG_ERROR says; None where it says that all went well. Raises Malformed."""
    if len(error.body) < ERROR.size + HEADER.size:
        raise Malformed("an answer without the header of its request")
    (code,) = ERROR.unpack_from(error.body)
    if code == 0:
        return None
    (length,) = struct.unpack_from("=I", error.body, ERROR.size)
    if error.flags & NLM_F_CAPPED:
        length = HEADER.size
    end = ERROR.size + length + -length % _ALIGN
    words = ""
    if error.flags & NLM_F_ACK_TLVS and end <= len(error.body):
        said = attributes(error.body[end:]).get(NLMSGERR_ATTR_MSG)
        words = "" if said is None else bytes(said).rstrip(b"\0").decode(errors="replace")
    return Refusal(-code, words, bytes(error.body[ERROR.size : ERROR.size + length]))
