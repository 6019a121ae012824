"""Entries of the store, the one that changed longest ago first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from addrcast.core.domain.record import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class AgeQueue(Generic[T]):
    """Entries in ascending order of (revision, key), whatever the order they were put in.

    Entries mostly come in that order, so nothing is sorted until one does not. Not to be changed while it is
    iterated over.
    """

    __slots__ = ("_entries", "_is_sorted", "_newest")

    def __init__(self) -> None:
        self._entries: dict[str, Entry[T]] = {}
        self._newest = (0, "")
        self._is_sorted = True

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        if not self._is_sorted:
            self._entries = {entry.key: entry for entry in sorted(self._entries.values(), key=_age)}
            self._is_sorted = True
        return iter(self._entries.values())

    def put(self, entry: Entry[T]) -> None:
        """Take in an entry, in place of an older one of the same key."""
        self._entries.pop(entry.key, None)
        self._entries[entry.key] = entry
        age = (entry.revision, entry.key)
        if age < self._newest:
            self._is_sorted = False
        else:
            self._newest = age

    def remove(self, key: str) -> bool:
        """Drop the entry of `key`, which must be here; whether others are left."""
        del self._entries[key]
        return bool(self._entries)


def _age(entry: Entry[T]) -> tuple[int, str]:
    return entry.revision, entry.key
