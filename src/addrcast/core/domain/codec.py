"""Values to bytes and back: JSON that an operator can read, each bearing the version of its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import VALUE_TYPES, parts_of
from addrcast.core.domain.record import SCHEMA_VERSION, Entry, Value

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import KeyValue

V = TypeVar("V", bound=Value)

_ENCODER = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(of) for kind, of in VALUE_TYPES.items()}


class _Version(msgspec.Struct):
    v: int = SCHEMA_VERSION


_VERSION = msgspec.json.Decoder(_Version)


def encode(value: Value) -> bytes:
    """Write a value for the store."""
    return _ENCODER.encode(value)


def decode(key: str, data: bytes) -> Value:
    """Read the value of `key`; Invalid where it is broken, or written by a newer version than this."""
    kind = parts_of(key).kind
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise Invalid("key", key, f"one of {', '.join(sorted(_DECODERS))} is expected")
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise Invalid(key, data[:80], _fault(data, error)) from None


def entry_of(kind: type[V], key: str, item: KeyValue | None) -> Entry[V]:
    """The decoded entry of `key`, absent where `item` is None. Raises Invalid for a value of another kind."""
    if item is None:
        return Entry(key)
    value = decode(key, item.value)
    if not isinstance(value, kind):
        raise Invalid("key", key, f"its value is a {type(value).__name__}, not a {kind.__name__}")
    return Entry(key, value, item.mod_revision, item.create_revision)


def _fault(data: bytes, error: msgspec.MsgspecError) -> str:
    try:
        written = _VERSION.decode(data).v
    except msgspec.MsgspecError:
        return str(error)
    if written > SCHEMA_VERSION:
        return (
            f"schema version {written} is newer than {SCHEMA_VERSION}, the newest known here; upgrade this process"
        )
    return str(error)
