"""Keys and items of the store as etcd has them: bytes, under the root that a store may have in a shared cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.transaction import Event, KeyValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire

# the smallest key there can be; as the end of a range it means that there is none
LEAST = b"\0"

Range = tuple[bytes, bytes]


def end_of(prefix: bytes) -> bytes:
    """The end of the range of all keys that start with `prefix`."""
    for index in range(len(prefix) - 1, -1, -1):
        if prefix[index] < 0xFF:
            return prefix[:index] + bytes((prefix[index] + 1,))
    return LEAST


def range_of(prefix: bytes) -> Range:
    """The range of all keys that start with `prefix`."""
    return prefix or LEAST, end_of(prefix)


def key_range(key: bytes) -> Range:
    """The range of one key: etcd has it without an end."""
    return key, b""


def item_reader(root: bytes) -> Callable[[wire.KeyValue], KeyValue]:
    """Takes an item of etcd's under `root` for one of the store's."""
    skip = len(root)

    def item_of(found: wire.KeyValue) -> KeyValue:
        return KeyValue(
            found.key[skip:].decode(), found.value, found.create_revision, found.mod_revision, found.lease
        )

    return item_of


def events_of(found: Iterable[wire.Event], root: bytes) -> list[Event]:
    """etcd's events as the store's, in their order."""
    skip = len(root)
    events = []
    for each in found:
        item = each.kv
        value = None if each.type else item.value
        created = 0 if value is None else item.create_revision
        events.append(Event(item.key[skip:].decode(), value, created, item.mod_revision))
    return events
