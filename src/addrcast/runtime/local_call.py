"""Calls over a unix socket: what is asked, what is answered, and how both are framed.

A frame is four bytes of length, big-endian, then one message in MessagePack. Each message of a caller bears a
number that the answer repeats; answers come in any order. Errors of the domain are values.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from addrcast.core.assignment.answer import Created, Deleted
from addrcast.core.assignment.request import CreateRequest, DeleteRequest
from addrcast.core.domain.errors import (
    AddrcastError,
    Conflict,
    Exhausted,
    Invalid,
    OutcomeUnknown,
    Stale,
    Unavailable,
)
from addrcast.runtime.role_status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PROTOCOL = 1
LENGTH = struct.Struct(">I")
ANSWER_BYTES_MAX = 16 << 20
_PLAIN = (str, int, float, bool)


class CreateCall(msgspec.Struct, frozen=True, tag="create"):
    """Addresses for an instance. Answered by CreatedAnswer."""

    request: CreateRequest


class DeleteCall(msgspec.Struct, frozen=True, tag="delete"):
    """An instance is gone. Answered by DeletedAnswer."""

    request: DeleteRequest


class ReadyCall(msgspec.Struct, frozen=True, tag="ready"):
    """Whether all hosts deliver to the addresses of an answer: when they do, or how it stands at `deadline_ms`.

    Answered by ReadyAnswer.
    """

    created: Created
    deadline_ms: int


class StatusCall(msgspec.Struct, frozen=True, tag="status"):
    """How the process is. Answered by StatusAnswer, in every state of it."""


Call = CreateCall | DeleteCall | ReadyCall | StatusCall


class Ask(msgspec.Struct, frozen=True):
    """What a caller sends; `number` is above 0 and free on its connection."""

    number: int
    call: Call
    protocol: int = PROTOCOL


class CreatedAnswer(msgspec.Struct, frozen=True, tag="created"):
    """See Created."""

    created: Created


class DeletedAnswer(msgspec.Struct, frozen=True, tag="deleted"):
    """See Deleted."""

    deleted: Deleted


class HostBehind(msgspec.Struct, frozen=True):
    """A host that is waited for: it has to acknowledge `revision`."""

    host: str
    revision: int


class ReadyAnswer(msgspec.Struct, frozen=True, tag="ready"):
    """Ready means that nobody is waited for; `left_out` are lost hosts, which are not."""

    is_ready: bool
    waits: tuple[HostBehind, ...] = ()
    left_out: tuple[str, ...] = ()


class StatusAnswer(msgspec.Struct, frozen=True, tag="status"):
    """See Status."""

    status: Status


class Failure(msgspec.Struct, frozen=True, tag="failure", omit_defaults=True):
    """One of the five errors of the domain with its fields; `is_unknown` marks one that may have happened."""

    error: str
    what: str = ""
    field: str = ""
    value: Any = None
    rule: str = ""
    pool: str = ""
    asked: int = 0
    free: int = 0
    way_out: str = ""
    retry_after_ms: int = 0
    is_unknown: bool = False

    def raised(self) -> AddrcastError:
        """The error that it tells of."""
        makers: dict[str, Callable[[], AddrcastError]] = {
            "invalid": lambda: Invalid(self.field, self.value, self.rule),
            "exhausted": lambda: Exhausted(self.pool, asked=self.asked, free=self.free, way_out=self.way_out),
            "conflict": lambda: Conflict(self.what),
            "stale": lambda: Stale(self.what),
        }
        if self.error in makers:
            return makers[self.error]()
        kind = OutcomeUnknown if self.is_unknown else Unavailable
        return kind(self.what, retry_after_ms=self.retry_after_ms)


class Answer(msgspec.Struct, frozen=True):
    """What the server sends; `number` 0 concerns the whole connection, which is closed next."""

    number: int
    answer: CreatedAnswer | DeletedAnswer | ReadyAnswer | StatusAnswer | Failure


class TooLong(Exception):
    """A frame announces more bytes than are read."""


def failure_of(error: AddrcastError) -> Failure:
    """An error as a value."""
    match error:
        case Invalid():
            value = error.value if isinstance(error.value, _PLAIN) else str(error.value)
            return Failure("invalid", field=error.field, value=value, rule=error.rule)
        case Exhausted():
            return Failure("exhausted", pool=error.pool, asked=error.asked, free=error.free, way_out=error.way_out)
        case Unavailable():
            retry_ms = error.retry_after_ms
            what = str(error).removesuffix(f"; try again in {retry_ms} ms")
            is_unknown = isinstance(error, OutcomeUnknown)
            return Failure("unavailable", what=what, retry_after_ms=retry_ms, is_unknown=is_unknown)
        case _:
            return Failure("conflict" if isinstance(error, Conflict) else "stale", what=str(error))


_ENCODER = msgspec.msgpack.Encoder()
ASKS = msgspec.msgpack.Decoder(Ask)
ANSWERS = msgspec.msgpack.Decoder(Answer)


def frame(message: Ask | Answer) -> bytes:
    """A message as it goes over the socket, to be written in one piece."""
    body = _ENCODER.encode(message)
    return LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader, *, bytes_max: int, rest_s: float | None = None) -> bytes | None:
    """The next message's bytes, None at the end of the stream, also where that is in the midst of a frame.

    A frame that was begun has to be whole after `rest_s`. Raises TooLong, TimeoutError.
    """
    try:
        head = await reader.readexactly(1)
        async with asyncio.timeout(rest_s):
            (length,) = LENGTH.unpack(head + await reader.readexactly(LENGTH.size - 1))
            if length > bytes_max:
                raise TooLong(f"{length} bytes are announced, at most {bytes_max} are read")
            return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
