"""A netlink socket that blocks: single requests, dumps, and batches of requests in few sends.

Source: include/uapi/linux/netlink.h; net/netlink/af_netlink.c (a route request is carried out inside `send`, its
answers are queued before `send` returns, and a datagram must be smaller than the send buffer).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from addrcast.adapters.kernel.netlink_message import (
    HEADER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    Refusal,
    message,
    messages,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SOL_NETLINK = 270
NETLINK_ROUTE = 0
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33

BUFFER_BYTES = 4 << 20
SEND_BYTES = 1 << 20
_SEND_SPARE = 4096
_DATAGRAM_MAX = 1 << 18
_PIECE = 128
_KIND_OFFSET = 4


class Refused(OSError):
    """The kernel did not do what one request asked for."""

    def __init__(self, what: Refusal) -> None:
        super().__init__(what.errno, what.text or os.strerror(what.errno))


class DumpTorn(Exception):
    """The table changed while it was dumped: read it again."""


class NetlinkSocket:
    """A route netlink socket of the network namespace that its thread is in; it stays there when the thread leaves.

    Not for several threads at once. `port` is the address by which notifications name the changes made here; 0
    lets the kernel choose.
    """

    def __init__(self, *, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        try:
            for option, forced in ((socket.SO_SNDBUF, _SO_SNDBUFFORCE), (socket.SO_RCVBUF, _SO_RCVBUFFORCE)):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
                with suppress(PermissionError):  # past the sysctl's limit only with rights over the whole machine
                    self._socket.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
            self._socket.bind((port, 0))
        except BaseException:
            self._socket.close()
            raise
        room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self.send_bytes = min(SEND_BYTES, room - _SEND_SPARE)
        self._sequence = 0

    def close(self) -> None:
        """Close it; a namespace without a name ends with its last socket."""
        self._socket.close()

    def request(self, kind: int, flags: int, body: bytes) -> None:
        """Carry out one request. Raises Refused."""
        for each in self._exchange(kind, flags | NLM_F_ACK, body):
            if each.kind == NLMSG_ERROR and (refused := refusal(each)) is not None:
                raise Refused(refused)

    def ask(self, kind: int, body: bytes) -> Message:
        """The one message that answers a request. Raises Refused."""
        for each in self._exchange(kind, 0, body):
            if each.kind != NLMSG_ERROR:
                return each
            if (refused := refusal(each)) is not None:
                raise Refused(refused)
        raise Refused(Refusal(errno.ENODATA, "no answer", b""))

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """The messages of a table, datagram by datagram, without the one that ends the dump; to be read to the end.

        Raises Refused, and DumpTorn where the table changed so that entries may be missing.
        """
        sequence = self._send(kind, NLM_F_DUMP, body)
        is_torn = False
        while True:
            datagram = self._receive()
            offset, last = _last_message(datagram)
            if last.sequence != sequence:
                continue
            is_torn |= bool(last.flags & NLM_F_DUMP_INTR)
            if last.kind == NLMSG_ERROR and (refused := refusal(last)) is not None:
                raise Refused(refused)
            is_end = last.kind in {NLMSG_DONE, NLMSG_ERROR}
            if offset or not is_end:
                yield datagram[:offset] if is_end else datagram
            if is_end:
                break
        if is_torn:
            raise DumpTorn

    def send_batch(self, requests: bytearray, size: int) -> list[Refusal]:
        """Carry out requests of `size` bytes each, in order; what was refused, in order. `requests` is written to.

        Requests must bear repeating: where so many are refused that answers are lost, some are sent again.
        """
        refused: list[Refusal] = []
        step = self.send_bytes // size * size
        view = memoryview(requests)
        for begin in range(0, len(view), step):
            part = view[begin : begin + step]
            try:
                refused += self._send_part(part, size)
            except _AnswersLost:
                for at in range(0, len(part), _PIECE * size):
                    refused += self._send_part(part[at : at + _PIECE * size], size)
        return refused

    def _send_part(self, part: memoryview, size: int) -> list[Refusal]:
        # only the last request asks for an answer; refusals are answered anyway, and come before it
        self._sequence += 1
        last = len(part) - size
        kind, flags = struct.unpack_from("=HH", part, last + _KIND_OFFSET)
        HEADER.pack_into(part, last, size, kind, flags | NLM_F_ACK, self._sequence, 0)
        self._socket.send(part)
        refused: list[Refusal] = []
        are_lost = False
        while True:
            try:
                datagram = memoryview(self._socket.recv(_DATAGRAM_MAX, socket.MSG_DONTWAIT))
            except BlockingIOError:
                raise _AnswersLost from None
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                are_lost = True
                continue
            for each in messages(datagram):
                if each.kind == NLMSG_ERROR and (what := refusal(each)) is not None:
                    refused.append(what)
                if each.sequence == self._sequence:
                    if are_lost:
                        raise _AnswersLost
                    return refused

    def _exchange(self, kind: int, flags: int, body: bytes) -> Iterator[Message]:
        sequence = self._send(kind, flags, body)
        while True:
            for each in messages(self._receive()):
                if each.sequence == sequence:
                    yield each
                    return

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        self._sequence += 1
        self._socket.send(message(kind, flags, body, sequence=self._sequence))
        return self._sequence

    def _receive(self) -> memoryview:
        return memoryview(self._socket.recv(_DATAGRAM_MAX))


class _AnswersLost(Exception):
    """More was refused than the receive buffer could say."""


def _last_message(datagram: memoryview) -> tuple[int, Message]:
    """Where the last message begins, and that message; where all are of one size, without walking over them."""
    length = HEADER.unpack_from(datagram)[0]
    offset = len(datagram) - length
    if length < HEADER.size or len(datagram) % length or HEADER.unpack_from(datagram, offset)[0] != length:
        offset, at = 0, 0
        while at < len(datagram):
            offset = at
            at += max(HEADER.size, HEADER.unpack_from(datagram, at)[0] + 3 & ~3)
    return offset, next(messages(datagram[offset:]))
