"""Values to bytes and back: JSON that an operator can read, each bearing the version of its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.first_schema import FIRST_FIELDS, PASSED_OVER
from addrcast.core.domain.keyspace import EPOCH, TWO_PART, VALUE_TYPES, parts_of
from addrcast.core.domain.record import SCHEMA_OLDEST, SCHEMA_VERSION, Entry, StoreEpoch, Value

if TYPE_CHECKING:
    from addrcast.core.domain.transaction import KeyValue

V = TypeVar("V", bound=Value)

_ENCODER = msgspec.json.Encoder()
_DECODERS = {kind: msgspec.json.Decoder(of) for kind, of in VALUE_TYPES.items()}
RULE_OF_UPGRADE = (
    "this store is written in version 1 of the schema, which has no word for it; run `addrcast upgrade`"
)
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError)  # the latter for text inside that is no UTF-8
_TREE = msgspec.json.Decoder(dict[str, Any])
_FIRST = b'{"v":1,'
_NEWEST = b'{"v":%d,' % SCHEMA_VERSION


def encode(value: Value, version: int = SCHEMA_VERSION) -> bytes:
    """Write a value for the store, in a version of the schema.

    Raises: Invalid where it says something that this version has no word for.
    """
    data = _ENCODER.encode(value)
    if version == SCHEMA_VERSION or isinstance(value, StoreEpoch):
        return data
    if type(value).__name__ not in FIRST_FIELDS:
        return _unknown_to_first(value, data)
    if type(value) in _ADDED:
        return _without_added(value)
    return _FIRST + data[len(_NEWEST) :]


def decode(key: str, data: bytes) -> Value:
    """Read the value of `key`; Invalid where it is broken, or written by a newer version than this.

    One of an older version is converted: what it had no word for stands at its default.
    """
    kind_end = key.find(".") + 1
    kind = key[:kind_end] or key
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise Invalid("key", key, f"one of {', '.join(sorted(_DECODERS))} is expected")
    if kind in TWO_PART and not kind_end < key.find(".", kind_end) < len(key) - 1:
        parts_of(key)  # says what is wrong
    try:
        if data.startswith(_FIRST) and key != EPOCH:
            return decoder.decode(_NEWEST + data[len(_FIRST) :])
        return decoder.decode(data)
    except _FAULTS as error:
        return _decode_odd(key, data, error)


def entry_of(kind: type[V], key: str, item: KeyValue | None) -> Entry[V]:
    """The decoded entry of `key`, absent where `item` is None. Raises Invalid for a value of another kind."""
    if item is None:
        return Entry(key)
    value = decode(key, item.value)
    if not isinstance(value, kind):
        raise Invalid("key", key, f"its value is a {type(value).__name__}, not a {kind.__name__}")
    return Entry(key, value, item.mod_revision, item.create_revision)


def _added(kind: type[Value]) -> dict[str, object]:
    known = FIRST_FIELDS.get(kind.__name__)
    if known is None:
        return {}
    return {field.name: field.default for field in msgspec.structs.fields(kind) if field.name not in known}


_ADDED = {kind: added for kind in VALUE_TYPES.values() if (added := _added(kind))}


def _unknown_to_first(value: Value, data: bytes) -> bytes:
    kind = type(value).__name__
    if kind not in PASSED_OVER:
        raise Invalid(kind, value, RULE_OF_UPGRADE)
    return data


def _without_added(value: Value) -> bytes:
    added = _ADDED[type(value)]
    said = [name for name, default in added.items() if getattr(value, name) != default]
    if said:
        raise Invalid(said[0], getattr(value, said[0]), RULE_OF_UPGRADE)
    tree = msgspec.to_builtins(value)
    return _ENCODER.encode({name: 1 if name == "v" else part for name, part in tree.items() if name not in added})


def _decode_odd(key: str, data: bytes, error: Exception) -> Value:
    """A value that is broken, of another version, or that nobody but an operator writes so. Raises Invalid."""
    try:
        tree = _TREE.decode(data)
    except _FAULTS:
        raise Invalid(key, data[:80], str(error)) from None
    version = tree.get("v")
    if type(version) is int and version > SCHEMA_VERSION:
        rule = (
            f"schema version {version} is newer than {SCHEMA_VERSION}, the newest known here; upgrade this process"
        )
        raise Invalid(key, data[:80], rule)
    if type(version) is not int or not SCHEMA_OLDEST <= version < SCHEMA_VERSION:
        raise Invalid(key, data[:80], str(error))
    try:
        return msgspec.convert({**tree, "v": SCHEMA_VERSION}, VALUE_TYPES[parts_of(key).kind])
    except msgspec.MsgspecError as fault:
        raise Invalid(key, data[:80], str(fault)) from None
