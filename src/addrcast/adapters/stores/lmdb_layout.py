"""What the embedded store keeps in LMDB: tables, rows, counters, and the version of the format."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.transaction import Event, KeyValue

if TYPE_CHECKING:
    import lmdb

FORMAT = 1
TABLE_COUNT = 6

_FORMAT_KEY = b"format"
_COUNTERS_KEY = b"counters"
_COUNTERS = Struct(">QQQ")

# mod_revision, create_revision, lease; the value follows
ROW_HEADER = Struct(">QQQ")
REVISION = Struct(">Q")

LoggedWrite = tuple[str, bytes | None, bytes | None]
"""A key, its row after and its row before the write; None where it is absent.

The row before lets a reader go back to any revision the log still reaches.
"""

encode_writes = msgspec.msgpack.Encoder().encode
decode_writes = msgspec.msgpack.Decoder(list[LoggedWrite]).decode


class Tables(NamedTuple):
    """The tables of one environment.

    records: key -> row. log: revision -> logged writes, one entry a revision, dense. leases: lease -> ttl,
    deadline. deadlines: (deadline, lease) -> nothing, so that the next one due is the first. lease_keys: lease ->
    its keys, as duplicates. meta: format and counters.
    """

    records: lmdb._Database
    log: lmdb._Database
    leases: lmdb._Database
    deadlines: lmdb._Database
    lease_keys: lmdb._Database
    meta: lmdb._Database


class Counters(NamedTuple):
    """The newest revision, the one up to which changes are forgotten, and the last lease given."""

    revision: int = 0
    compacted: int = 0
    lease: int = 0


def open_tables(env: lmdb.Environment, txn: lmdb.Transaction[bytes]) -> Tables:
    """Open the tables of an environment, and create them in a new one. Raises Invalid for another format."""
    names = [name.decode(errors="replace") for name in env.dbs(txn)]
    if names and "meta" not in names:
        raise Invalid("store", env.path(), f"this LMDB environment is not addrcast's: it holds {names[:4]}")
    tables = Tables(*(env.open_db(name.encode(), txn, dupsort=name == "lease_keys") for name in Tables._fields))
    written = txn.get(_FORMAT_KEY, db=tables.meta)
    if written is None:
        txn.put(_FORMAT_KEY, str(FORMAT).encode(), db=tables.meta)
    elif int(written) != FORMAT:
        rule = f"its format {int(written)} is not {FORMAT}, the one known here; run the version that wrote it"
        raise Invalid("store", env.path(), rule)
    return tables


def read_counters(txn: lmdb.Transaction[bytes], tables: Tables) -> Counters:
    """The counters as a transaction sees them."""
    written = txn.get(_COUNTERS_KEY, db=tables.meta)
    return Counters(*_COUNTERS.unpack(written)) if written else Counters()


def write_counters(txn: lmdb.Transaction[bytes], tables: Tables, counters: Counters) -> None:
    """Set the counters."""
    txn.put(_COUNTERS_KEY, _COUNTERS.pack(*counters), db=tables.meta)


def item_of(key: str, row: bytes) -> KeyValue:
    """A row as the port shows it."""
    mod_revision, create_revision, lease = ROW_HEADER.unpack_from(row)
    return KeyValue(key, row[ROW_HEADER.size :], create_revision, mod_revision, lease)


def event_of(key: str, row: bytes | None, revision: int) -> Event:
    """A logged write as the port shows it."""
    if row is None:
        return Event(key, None, 0, revision)
    return Event(key, row[ROW_HEADER.size :], ROW_HEADER.unpack_from(row)[1], revision)
