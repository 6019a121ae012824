"""The store port: what every key-value store must promise, and the contract suite checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from addrcast.core.domain.errors import Invalid, Stale
from addrcast.core.domain.transaction import Put

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from addrcast.core.domain.transaction import Change, Page, Result, Transaction

KEY_BYTES_MAX = 511
VALUE_BYTES_MAX = 1 << 20
PROGRESS_REVISIONS = 1000


class Compacted(Stale):
    """That revision is gone, or of another past than the store's.

    `oldest` is the first that can still be read, or watched from (`after_revision`).
    """

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the store knows revisions from {oldest} on, and not that one; take a snapshot")
        self.oldest = oldest


class Store(Protocol):
    """A linearizable, revisioned key-value store.

    Revisions count up from 1; every successful transaction that changes something has one of its own (or shares it
    with its group), greater than all before. Keys are text of 1 to 511 bytes in UTF-8, ordered by their bytes;
    values have at most 1 MiB.

    Any method may raise Unavailable (nothing happened) and Invalid (a key, value or revision that cannot be);
    `commit` may raise OutcomeUnknown (it may have happened).
    """

    async def read(self, keys: Sequence[str]) -> Page:
        """The present values of `keys`, in key order, all of one revision, linearizable; no absent ones."""
        ...

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys that start with `prefix` and are greater than `after`, in order; at most `limit` (0: all).

        `revision` 0 reads the newest state, linearizably. To page through one state, pass the first page's
        revision on. Raises Compacted where that state is gone, Invalid where it is not reached yet.
        """
        ...

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """Judge each transaction by itself, in order, and write the successful ones durably before returning.

        Calls that run at once are grouped; later transactions see what earlier ones wrote. Deleting an absent key
        is no change. Raises Invalid where a transaction writes a key twice or a key or value is too long, and Stale
        where a lease that is put under is over; then none of the call's transactions is carried out.
        """
        ...

    def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """Every change of keys with one of `prefixes` after a revision: whole revisions, in order, none twice.

        Ends only by being closed, or with the store. A change without events tells that the watch has come as far
        as its revision; resume after the last one received. Raises Compacted when it cannot go on without a gap,
        and where the store has not come to `after_revision`: then it was restored from a backup.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget the changes up to and including `revision`; the state at it and the newest one stay.

        Nothing where they are forgotten already. Raises Invalid for a revision that is not reached yet.
        """
        ...

    async def grant(self, *, ttl_ms: int) -> int:
        """A new lease; keys put under it are removed once it is not kept alive for `ttl_ms`.

        A key that is put again under another lease, or none, has left the former one.
        """
        ...

    async def keep_alive(self, lease: int) -> None:
        """Begin a lease's time anew. Raises Stale where it is over."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and remove its keys; nothing where it is over."""
        ...

    async def close(self) -> None:
        """Give back what the store holds open; running watches end, further calls raise Unavailable."""
        ...


def check_key(key: str) -> None:
    """Raise Invalid unless the text can be a key."""
    if key.isascii() and 0 < len(key) <= KEY_BYTES_MAX:
        return
    if not 0 < _size_of(key) <= KEY_BYTES_MAX:
        raise Invalid("key", key[:80], f"1 to {KEY_BYTES_MAX} bytes are allowed, not {_size_of(key)}")


def check_range(prefix: str, after: str) -> None:
    """Raise Invalid unless both can begin a key; each may be empty."""
    for text in (prefix, after):
        if text:
            check_key(text)


def check_transactions(transactions: Iterable[Transaction]) -> list[int]:
    """The leases that are put under; raises Invalid for what no store may take.

    That is a key or value that is too long, and a transaction that writes a key twice.
    """
    leases = []
    for transaction in transactions:
        for compare in transaction.compares:
            check_key(compare.key)
        for write in transaction.writes:
            check_key(write.key)
            if isinstance(write, Put):
                if write.lease:
                    leases.append(write.lease)
                if len(write.value) > VALUE_BYTES_MAX:
                    rule = f"at most {VALUE_BYTES_MAX} bytes are allowed, not {len(write.value)}"
                    raise Invalid(write.key, write.value[:80], rule)
        if len({write.key for write in transaction.writes}) < len(transaction.writes):
            twice = [write.key for write in transaction.writes]
            raise Invalid("writes", twice[:8], "a transaction may write a key only once")
    return leases


def _size_of(key: str) -> int:
    try:
        return len(key.encode())
    except UnicodeEncodeError:
        raise Invalid("key", key[:80], "the text must be encodable in UTF-8") from None
