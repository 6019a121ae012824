"""The store port: what every key-value store must promise, and the contract suite checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from addrcast.core.domain.errors import Stale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from addrcast.core.domain.transaction import Change, Page, Result, Transaction


class Compacted(Stale):
    """The revision asked for is gone; `oldest` is the first that can still be watched or read."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"revisions before {oldest} are compacted; take a snapshot and watch from there")
        self.oldest = oldest


class Store(Protocol):
    """A linearizable, revisioned key-value store.

    Revisions count up from 1; every successful transaction with writes has one of its own (or shares it with its
    group), greater than all before. Keys are text of at most 511 bytes in UTF-8, ordered by their bytes.

    Any method may raise Unavailable (nothing happened); `commit` may raise OutcomeUnknown (it may have).
    """

    async def read(self, keys: Sequence[str]) -> Page:
        """The present values of `keys` (absent ones are left out), all of one revision, linearizable."""
        ...

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys that start with `prefix` and are greater than `after`, in order; at most `limit` (0: all).

        `revision` 0 reads the newest state, linearizably. To page through one state, pass the first page's
        revision on. Raises Compacted where that state is gone.
        """
        ...

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """Judge each transaction by itself, in order, and write the successful ones durably before returning.

        Calls that run at once are grouped. Raises Invalid where a transaction writes a key twice or a key or value
        is too long; then none of the call's transactions is carried out.
        """
        ...

    def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncIterator[Change]:
        """Every change of keys with one of `prefixes` after a revision: whole revisions, in order, none twice.

        Ends only by being closed. Raises Compacted when it cannot go on without a gap.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget the changes up to and including `revision`; the newest state of every key stays."""
        ...

    async def grant(self, *, ttl_ms: int) -> int:
        """A new lease; keys put under it are removed once it is not kept alive for `ttl_ms`."""
        ...

    async def keep_alive(self, lease: int) -> None:
        """Begin a lease's time anew. Raises Stale where it is over."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and remove its keys; nothing where it is over."""
        ...

    async def close(self) -> None:
        """Give back what the store holds open; running watches end."""
        ...
