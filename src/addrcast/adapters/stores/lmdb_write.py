"""One write transaction of LMDB in progress: it carries the work of a whole group of callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.adapters.stores.lmdb_layout import (
    REVISION,
    ROW_HEADER,
    Counters,
    LoggedWrite,
    encode_writes,
    item_of,
    read_counters,
    write_counters,
)
from addrcast.adapters.stores.lmdb_lease import LeaseTable
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.transaction import Delete, Put, Result, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import lmdb

    from addrcast.adapters.stores.lmdb_layout import Tables

_TRIM_MIN = 64
_row_begin = ROW_HEADER.pack
_parts_of = ROW_HEADER.unpack_from


class _Rows(dict[str, bytes | None]):
    """The rows as the group has left them so far; a key is read when it is first asked for."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables) -> None:
        super().__init__()
        self._get = txn.get
        self._records = tables.records

    def __missing__(self, key: str) -> bytes | None:
        row = self[key] = self._get(key.encode(), None, self._records)
        return row


class Writing:
    """What a group changes, seen by its later transactions at once and by everyone after `flush` and commit."""

    def __init__(self, txn: lmdb.Transaction[bytes], tables: Tables, *, now_ms: int) -> None:
        self._txn = txn
        self._tables = tables
        self._now_ms = now_ms
        self._before = read_counters(txn, tables)
        self.revision, self._compacted, self._last_lease = self._before
        self._leases = LeaseTable(txn, tables)
        self._rows = _Rows(txn, tables)
        self._has_other_change = False

    @property
    def has_changes(self) -> bool:
        """Whether anything has to be made durable."""
        return self._has_other_change or (self.revision, self._compacted, self._last_lease) != self._before

    def commit(self, transactions: Sequence[Transaction], *, leases: Iterable[int] = ()) -> list[Result]:
        """See Store.commit; the transactions were checked before, `leases` are those they put under."""
        for lease in leases:
            self._leases.check(lease)
        return [self._judge(transaction) for transaction in transactions]

    def grant(self, ttl_ms: int) -> int:
        """See Store.grant."""
        lease = self._leases.fresh()
        self._leases.begin(lease, ttl_ms=ttl_ms, now_ms=self._now_ms)
        self._has_other_change = True
        return lease

    def keep_alive(self, lease: int) -> None:
        """See Store.keep_alive."""
        self._leases.prolong(lease, now_ms=self._now_ms)
        self._has_other_change = True

    def revoke(self, lease: int) -> None:
        """See Store.revoke: the keys go in one revision."""
        keys = self._leases.end(lease)
        if keys is not None:
            self._has_other_change = True
            self._carry_out([Delete(key) for key in keys])

    def expire(self) -> None:
        """End the leases whose deadline has come."""
        for lease in self._leases.due(now_ms=self._now_ms):
            self.revoke(lease)

    def compact(self, revision: int) -> None:
        """See Store.compact: the changes are out of reach at once, and leave the disk by and by."""
        if revision > self.revision:
            raise Invalid("revision", revision, f"the store has come to {self.revision} only")
        self._compacted = max(self._compacted, revision)

    def flush(self, *, keep_revisions: int) -> None:
        """Write the group down, and forget as much of the log as keeps it at `keep_revisions`."""
        self._compacted = max(self._compacted, self.revision - keep_revisions)
        self.trim(limit=2 * (self.revision - self._before.revision) + _TRIM_MIN)
        write_counters(self._txn, self._tables, Counters(self.revision, self._compacted, self._last_lease))

    def trim(self, *, limit: int) -> None:
        """Remove at most `limit` forgotten entries of the log from the disk."""
        last = REVISION.pack(self._compacted)
        with self._txn.cursor(self._tables.log) as cursor:
            cursor.first()
            while limit and cursor.key() and cursor.key() <= last:
                cursor.delete()
                self._has_other_change = True
                limit -= 1

    def _judge(self, transaction: Transaction) -> Result:
        for compare in transaction.compares:
            row = self._rows[compare.key]
            if compare.revision != (_parts_of(row)[0] if row else 0):
                return self._refusal(transaction)
        self._carry_out(transaction.writes)
        return Result(is_success=True, revision=self.revision)

    def _refusal(self, transaction: Transaction) -> Result:
        rows = ((compare.key, self._rows[compare.key]) for compare in transaction.compares)
        current = tuple(item_of(key, row) if row else None for key, row in rows)
        return Result(is_success=False, revision=self.revision, current=current)

    def _carry_out(self, writes: Sequence[Put | Delete]) -> None:
        # each row is put right after it was read, while the way down the tree is in the processor's cache
        revision = self.revision + 1
        records = self._tables.records
        logged: list[LoggedWrite] = []
        for write in writes:
            key = write.key
            before = self._rows[key]
            _, created, left = _parts_of(before) if before else (0, revision, 0)
            after, lease = None, 0
            if type(write) is Put:
                lease = write.lease
                after = _row_begin(revision, created, lease) + write.value
                self._txn.put(key.encode(), after, db=records)
            elif before is None:
                continue
            else:
                self._txn.delete(key.encode(), db=records)
            if left or lease:
                self._leases.move(key, before=left, after=lease)
            self._rows[key] = after
            logged.append((key, after, before))
        if logged:
            self.revision = revision
            self._txn.put(REVISION.pack(revision), encode_writes(logged), append=True, db=self._tables.log)


def is_trim_due(txn: lmdb.Transaction[bytes], tables: Tables) -> bool:
    """Whether forgotten entries of the log are still on the disk."""
    with txn.cursor(tables.log) as cursor:
        return cursor.first() and cursor.key() <= REVISION.pack(read_counters(txn, tables).compacted)
