"""Reading the embedded store inside one read transaction: keys, ranges at a revision, and the log."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from addrcast.adapters.stores.lmdb_layout import REVISION, decode_writes, event_of, item_of, read_counters
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.transaction import Change, Page
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lmdb

    from addrcast.adapters.stores.lmdb_layout import LoggedWrite, Tables

_CHUNK_BYTES = 1 << 22


def read_keys(txn: lmdb.Transaction[bytes], tables: Tables, keys: Sequence[str]) -> Page:
    """See Store.read."""
    revision = read_counters(txn, tables).revision
    rows = ((key, txn.get(key.encode(), db=tables.records)) for key in sorted(set(keys)))
    return Page(revision, tuple(item_of(key, row) for key, row in rows if row is not None))


def read_range(
    txn: lmdb.Transaction[bytes], tables: Tables, prefix: str, *, after: str, limit: int, revision: int
) -> Page:
    """See Store.scan; `limit` is at least 1."""
    newest, compacted, _ = read_counters(txn, tables)
    revision = revision or newest
    if revision > newest:
        raise Invalid("revision", revision, f"the store has come to {newest} only")
    if revision < compacted:
        raise Compacted(compacted)
    with txn.cursor(tables.records) as cursor:
        present = _rows_under(cursor, prefix, after)
        if revision == newest:
            found = present
        else:
            past = _rows_replaced(txn, tables, prefix, after_revision=revision)
            found = _merged(present, {key: row for key, row in past.items() if key > after})
        items = tuple(item_of(key, row) for key, row in islice(found, limit))
        return Page(revision, items, has_more=next(found, None) is not None)


def read_changes(
    txn: lmdb.Transaction[bytes], tables: Tables, prefixes: tuple[str, ...], *, after_revision: int, limit: int
) -> tuple[list[Change], int, int]:
    """The changes of keys with one of `prefixes` among the next revisions: at most `limit` of them, or 4 MiB.

    Returns the changes, the last revision that was looked at, and the newest one. Raises Compacted.
    """
    newest, compacted, _ = read_counters(txn, tables)
    if not compacted <= after_revision <= newest:
        raise Compacted(compacted)
    changes = []
    passed = after_revision
    for revision, writes in _logged(txn, tables, after_revision=after_revision, limit=limit):
        passed = revision
        events = [event_of(key, row, revision) for key, row, _ in writes if key.startswith(prefixes)]
        if events:
            changes.append(Change(revision, tuple(events)))
    return changes, passed, newest


def _rows_under(cursor: lmdb.Cursor[bytes], prefix: str, after: str) -> Iterator[tuple[str, bytes]]:
    start, last = prefix.encode(), after.encode()
    # an empty key is no key for LMDB
    is_found = cursor.set_range(max(start, last)) if start or last else cursor.first()
    if is_found and cursor.key() == last:
        is_found = cursor.next()
    if is_found:
        for key, row in cursor.iternext():
            if not key.startswith(start):
                return
            yield key.decode(), row


def _rows_replaced(
    txn: lmdb.Transaction[bytes], tables: Tables, prefix: str, *, after_revision: int
) -> dict[str, bytes | None]:
    """What stood at a revision at the keys that were written since."""
    replaced: dict[str, bytes | None] = {}
    for _, writes in _logged(txn, tables, after_revision=after_revision):
        for key, _, before in writes:
            if key.startswith(prefix):
                replaced.setdefault(key, before)
    return replaced


def _merged(present: Iterator[tuple[str, bytes]], past: dict[str, bytes | None]) -> Iterator[tuple[str, bytes]]:
    """The present rows with those of `past` in place of theirs, in key order."""
    waiting = sorted(past.items(), reverse=True)
    for key, row in present:
        while waiting and waiting[-1][0] < key:
            yield from _existing(*waiting.pop())
        if key not in past:
            yield key, row
    while waiting:
        yield from _existing(*waiting.pop())


def _existing(key: str, row: bytes | None) -> Iterator[tuple[str, bytes]]:
    if row is not None:
        yield key, row


def _logged(
    txn: lmdb.Transaction[bytes], tables: Tables, *, after_revision: int, limit: int | None = None
) -> Iterator[tuple[int, list[LoggedWrite]]]:
    with txn.cursor(tables.log) as cursor:
        if not cursor.set_range(REVISION.pack(after_revision + 1)):
            return
        size = 0
        for name, entry in islice(cursor.iternext(), limit):
            yield REVISION.unpack(name)[0], decode_writes(entry)
            size += len(entry)
            if limit is not None and size > _CHUNK_BYTES:
                return
