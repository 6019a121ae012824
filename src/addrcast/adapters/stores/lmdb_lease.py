"""Leases in LMDB: their deadlines by the wall clock, and the keys that hang on them."""

from __future__ import annotations

from secrets import randbits
from struct import Struct
from typing import TYPE_CHECKING

from addrcast.adapters.stores.lmdb_layout import REVISION
from addrcast.core.domain.errors import Stale

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from addrcast.adapters.stores.lmdb_layout import Tables

_PAIR = Struct(">QQ")


class LeaseTable:
    """The leases as one write transaction sees and changes them."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        self._txn = txn
        self._tables = tables

    def fresh(self) -> int:
        """The number of a lease to come, unlike that of any other store.

        Counted, a store that went back to a copy would give numbers anew that earlier processes still keep alive.
        """
        while True:
            lease = randbits(63)
            if lease and self._txn.get(REVISION.pack(lease), db=self._tables.leases) is None:
                return lease

    def begin(self, lease: int, *, ttl_ms: int, now_ms: int) -> None:
        """Enter a lease, or set its deadline anew."""
        self._txn.put(REVISION.pack(lease), _PAIR.pack(ttl_ms, now_ms + ttl_ms), db=self._tables.leases)
        self._txn.put(_PAIR.pack(now_ms + ttl_ms, lease), b"", db=self._tables.deadlines)

    def prolong(self, lease: int, *, now_ms: int) -> None:
        """Begin a lease's time anew. Raises Stale where it is over."""
        ttl_ms, deadline_ms = self._times(lease)
        self._txn.delete(_PAIR.pack(deadline_ms, lease), db=self._tables.deadlines)
        self.begin(lease, ttl_ms=ttl_ms, now_ms=now_ms)

    def check(self, lease: int) -> None:
        """Raise Stale where a lease is over."""
        self._times(lease)

    def end(self, lease: int) -> list[str] | None:
        """Remove a lease, and return the keys that hung on it, in order; None where it is over."""
        name = REVISION.pack(lease)
        times = self._txn.pop(name, db=self._tables.leases)
        if times is None:
            return None
        self._txn.delete(_PAIR.pack(_PAIR.unpack(times)[1], lease), db=self._tables.deadlines)
        with self._txn.cursor(self._tables.lease_keys) as cursor:
            keys = [key.decode() for key in cursor.iternext_dup()] if cursor.set_key(name) else []
        self._txn.delete(name, db=self._tables.lease_keys)
        return keys

    def move(self, key: str, *, before: int, after: int) -> None:
        """Hang a key, that hung on lease `before`, on `after`; 0 is none."""
        if before == after:
            return
        if before:
            self._txn.delete(REVISION.pack(before), key.encode(), db=self._tables.lease_keys)
        if after:
            self._txn.put(REVISION.pack(after), key.encode(), db=self._tables.lease_keys)

    def due(self, *, now_ms: int) -> Iterator[int]:
        """The leases whose deadline has come, the earliest first; end each before asking for the next."""
        while (first := first_deadline(self._txn, self._tables)) is not None and first[0] <= now_ms:
            yield first[1]

    def _times(self, lease: int) -> tuple[int, int]:
        times = self._txn.get(REVISION.pack(lease), db=self._tables.leases)
        if times is None:
            raise Stale(f"lease {lease} is over; ask for a new one")
        ttl_ms, deadline_ms = _PAIR.unpack(times)
        return ttl_ms, deadline_ms


def first_deadline(txn: lmdb.Transaction[bytes], tables: Tables) -> tuple[int, int] | None:
    """When the next lease ends (ms), and which one that is."""
    with txn.cursor(tables.deadlines) as cursor:
        if not cursor.first():
            return None
        deadline_ms, lease = _PAIR.unpack(cursor.key())
        return deadline_ms, lease
