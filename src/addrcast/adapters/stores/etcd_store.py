"""The etcd store: the store port on a cluster of etcd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from addrcast.adapters.stores.etcd_cluster import Cluster
from addrcast.adapters.stores.etcd_commit import Committer
from addrcast.adapters.stores.etcd_lease import Leases
from addrcast.adapters.stores.etcd_member import Tls
from addrcast.adapters.stores.etcd_read import Reader
from addrcast.adapters.stores.etcd_watch import Watcher
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.ports.store import check_key, check_range, check_transactions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from addrcast.core.domain.transaction import Change, Page, Result, Transaction

__all__ = ["EtcdStore", "Tls"]

DEADLINE_MS = 1_000
ROOT_BYTES_MAX = 256


class EtcdStore:
    """See Store. Made by `open`, used in the event loop it was opened in; never carried over a fork.

    The transactions of a group share one revision.
    """

    def __init__(self, cluster: Cluster, root: bytes) -> None:
        self._cluster = cluster
        self._leases = Leases(cluster)
        self._reader = Reader(cluster, root)
        self._committer = Committer(cluster, self._leases, root)
        self._watcher = Watcher(cluster, self._reader, self._committer, root)
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        credentials: tuple[str, str] | None = None,
        root: str = "",
        deadline_ms: int = DEADLINE_MS,
    ) -> EtcdStore:
        """Connect to a cluster by the `host:port` of some of its members.

        `credentials` are a user and a password. `root` stands before every key, so that a cluster can be shared. A
        request that is not answered within `deadline_ms` is given up, and the member is left for another one.

        Raises: Invalid for endpoints, files, users and versions that will not do; Unavailable where no member is
        reached.
        """
        if len(root.encode()) > ROOT_BYTES_MAX:
            raise Invalid("root", root[:80], f"at most {ROOT_BYTES_MAX} bytes are allowed")
        cluster = await Cluster.open(endpoints, tls=tls, credentials=credentials, deadline_ms=deadline_ms)
        return cls(cluster, root.encode())

    async def read(self, keys: Sequence[str]) -> Page:
        """See Store."""
        self._check_open()
        for key in keys:
            check_key(key)
        return await self._reader.read(keys)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See Store."""
        self._check_open()
        check_range(prefix, after)
        return await self._reader.scan(prefix, after=after, limit=limit, revision=revision)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """See Store."""
        self._check_open()
        return await self._committer.submit(transactions, check_transactions(transactions))

    def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store."""
        return self._watcher.watch(prefixes, after_revision=after_revision)

    async def compact(self, revision: int) -> None:
        """See Store."""
        self._check_open()
        await self._reader.compact(revision)

    async def grant(self, *, ttl_ms: int) -> int:
        """See Store."""
        self._check_open()
        return await self._leases.grant(ttl_ms=ttl_ms)

    async def keep_alive(self, lease: int) -> None:
        """See Store."""
        self._check_open()
        await self._leases.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """See Store."""
        self._check_open()
        await self._leases.revoke(lease)

    async def close(self) -> None:
        """See Store; groups that are on their way are waited for."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._committer.stop()
        self._watcher.stop()
        await asyncio.sleep(0)
        await self._cluster.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable("the etcd store is closed", retry_after_ms=1_000)
