"""Compare-and-swap transactions and what a store says of them."""

from __future__ import annotations

import msgspec


class Compare(msgspec.Struct, frozen=True, gc=False):
    """True while the key's mod_revision is `revision`; 0 means that the key is absent."""

    key: str
    revision: int


class Put(msgspec.Struct, frozen=True, gc=False):
    """Writes a key; `lease` 0 is no lease."""

    key: str
    value: bytes
    lease: int = 0


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Removes a key."""

    key: str


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """Writes that happen together if every compare is true, else not at all; a key is written at most once."""

    compares: tuple[Compare, ...]
    writes: tuple[Put | Delete, ...]


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key of the store as it stands."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of a transaction.

    `revision` is that of its writes, or on failure the revision at which it was judged. `current` holds, on
    failure, what stands at each compared key, in the order of the compares.
    """

    is_success: bool
    revision: int
    current: tuple[KeyValue | None, ...] = ()


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change of a key; `value` None is a removal, whose `create_revision` is 0."""

    key: str
    value: bytes | None
    create_revision: int
    mod_revision: int


class Change(msgspec.Struct, frozen=True, gc=False):
    """All watched events of one revision, whole; `events` is empty for a mere note of progress."""

    revision: int
    events: tuple[Event, ...]


class Page(msgspec.Struct, frozen=True, gc=False):
    """Part of a scan: the revision that was read, the items by key, and whether more follow the last one."""

    revision: int
    items: tuple[KeyValue, ...]
    has_more: bool = False
