"""An LMDB environment that several processes share and that grows: opening it, reading it, making it larger."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import lmdb

from addrcast.adapters.stores.lmdb_layout import TABLE_COUNT, open_tables
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAP_BYTES = 1 << 30
_READERS_MAX = 1024


class Environment:
    """The environment of one directory and its tables.

    LMDB must not change the size of its map while this process has a transaction, and does not check it. So every
    read transaction lives inside `reading`, short and without waiting, on one lock; the write transactions all
    belong to one thread, which alone changes the size, between them.
    """

    def __init__(self, directory: Path, *, map_bytes: int = MAP_BYTES) -> None:
        self.directory = directory
        self._pid = os.getpid()
        self._lock = threading.Lock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lmdb = lmdb.open(
                str(directory), map_size=map_bytes, max_dbs=TABLE_COUNT, max_readers=_READERS_MAX, mode=0o600
            )
        except (lmdb.Error, OSError) as error:
            raise Invalid("store", str(directory), f"it cannot be opened: {error}") from None
        try:
            self._lmdb.reader_check()
            with self.writing() as txn:
                self.tables = open_tables(self._lmdb, txn)
                txn.commit()
        except BaseException:
            self._lmdb.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A read transaction. Raises lmdb.MapResizedError where another process made the map larger.

        Raises RuntimeError in a forked child.
        """
        with self._lock:
            if os.getpid() != self._pid:  # LMDB must not be carried over a fork
                raise RuntimeError(f"{self.directory} was opened before a fork; open it in each process anew")
            with self._lmdb.begin() as txn:
                yield txn

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        """A write transaction, dropped at the end unless it was committed. Only for the writing thread."""
        txn = self._begin()
        try:
            yield txn
        finally:
            txn.abort()

    def grow(self) -> None:
        """Make the map twice as large."""
        with self._lock:
            self._lmdb.set_mapsize(2 * self._lmdb.info()["map_size"])

    def forget_dead_readers(self) -> None:
        """Free the places of readers whose process died: they hold back pages from being used again."""
        self._lmdb.reader_check()

    def close(self) -> None:
        """Unmap the files; the writing thread must have ended."""
        with self._lock:
            self._lmdb.close()

    def _begin(self) -> lmdb.Transaction[bytes]:
        while True:
            try:
                return self._lmdb.begin(write=True)
            except lmdb.MapResizedError:
                with self._lock:
                    self._lmdb.set_mapsize(0)
