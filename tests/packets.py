"""Real packets for tests: echo requests from inside a namespace, one by one or as a flood, and who got them."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Self

from addrcast.adapters.kernel.namespace import inside

if TYPE_CHECKING:
    from pathlib import Path

_ECHO = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO = 10, 2
_IPV6_MTU_DISCOVER = 23
_NUMBER = 7


class Pinger:
    """Sends echo requests from a namespace to one address and collects the answers."""

    def __init__(self, namespace: Path, target: str, *, source: str = "") -> None:
        self.family = socket.AF_INET6 if ":" in target else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
        with inside(namespace):
            self._socket = socket.socket(self.family, socket.SOCK_RAW, protocol)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if self.family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_DO)
        if source:
            self._socket.bind((source, 0))
        self._target = target
        self._sent = 0
        self.answered: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def lost(self) -> int:
        """Requests without an answer, of those sent so far."""
        return self._sent - len(self.answered)

    def send(self, payload_bytes: int = 8) -> None:
        """Send one request. Raises OSError where its own namespace already refuses it."""
        body = struct.pack(">I", self._sent).ljust(payload_bytes, b"\0")
        request = struct.pack(">BBHHH", _ECHO[self.family][0], 0, 0, _NUMBER, 0) + body
        if self.family == socket.AF_INET:
            request = request[:2] + struct.pack(">H", _checksum(request)) + request[4:]
        self._socket.sendto(request, (self._target, 0))
        self._sent += 1

    def collect(self, wait_s: float = 0.0) -> None:
        """Take in the answers that are there, or come within a time as long as some are missing."""
        end = time.monotonic() + wait_s
        while True:
            try:
                packet = self._socket.recv(65536)
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0 or not self.lost:
                    return
                select.select([self._socket], [], [], left)
                continue
            offset = 0 if self.family == socket.AF_INET6 else (packet[0] & 15) * 4
            kind, _, _, number, _ = struct.unpack_from(">BBHHH", packet, offset)
            if (kind, number) == (_ECHO[self.family][1], _NUMBER):
                self.answered.add(struct.unpack_from(">I", packet, offset + 8)[0])


def reaches(namespace: Path, target: str, *, payload_bytes: int = 8) -> bool:
    """Whether an echo request from inside a namespace is answered, sooner or later."""
    return _is_answered(namespace, target, payload_bytes=payload_bytes, patience_s=5.0)


def is_cut_off(namespace: Path, target: str) -> bool:
    """Whether an echo request from inside a namespace stays without an answer for a while."""
    return not _is_answered(namespace, target, payload_bytes=8, patience_s=0.3)


def _is_answered(namespace: Path, target: str, *, payload_bytes: int, patience_s: float) -> bool:
    with Pinger(namespace, target) as pinger:
        pinger.send(payload_bytes)
        pinger.collect(patience_s)
        return not pinger.lost


def _checksum(packet: bytes) -> int:
    if len(packet) % 2:
        packet += b"\0"
    total: int = sum(struct.unpack(f">{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
