"""Which transactions of waiting calls go into one transaction of etcd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.adapters.stores.etcd_encode import encode_transaction

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import Result, Transaction

# etcd's default of --max-txn-ops
OPERATIONS_MAX = 128
# well below etcd's default of --max-request-bytes, 1.5 MiB
BYTES_MAX = 1 << 20


class Call:
    """The transactions of one call of `commit` on their way; `results` holds those that are through."""

    __slots__ = ("future", "has_written", "leases", "results", "transactions")

    def __init__(
        self, transactions: Sequence[Transaction], leases: Sequence[int], future: asyncio.Future[list[Result]]
    ) -> None:
        self.transactions = transactions
        self.leases = leases
        self.future = future
        self.results: list[Result] = []
        self.has_written = False


class Part:
    """Transactions of one call that follow each other, and their bytes."""

    __slots__ = ("bodies", "call", "transactions")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.transactions: list[Transaction] = []
        self.bodies: list[bytes] = []


class Group:
    """Parts of calls that etcd carries out in one transaction.

    Invariant: no transaction of the group compares or writes a key that another one writes. etcd judges all of them
    on the state before the group, so this makes it the same as judging them one after the other.
    """

    def __init__(self, root: bytes, *, is_nested: bool) -> None:
        self.parts: list[Part] = []
        self._root = root
        self._is_nested = is_nested
        self._compared: set[str] = set()
        self._written: set[str] = set()
        self._count = 0
        self._bytes = 0
        # of nested transactions the most that one has, of flat ones the sums
        self._compares = 0
        self._writes = 0

    @property
    def is_full(self) -> bool:
        """Whether not even a small transaction would fit any more."""
        return self._operations(1, 1)[0] > OPERATIONS_MAX or self._bytes >= BYTES_MAX

    def take(self, call: Call) -> bool:
        """Take as many of the call's next transactions as fit; whether any did.

        A call that is too long for what is left, and not for a group of its own, is not cut in two.
        """
        rest = call.transactions[len(call.results) :]
        if self._is_nested and self._count and self._operations(0, 0)[0] + len(rest) > OPERATIONS_MAX + 1:
            return False
        part = Part(call)
        for transaction in rest:
            if not self._takes(transaction, part):
                break
        if part.transactions:
            self.parts.append(part)
        return bool(part.transactions)

    def _takes(self, transaction: Transaction, part: Part) -> bool:
        compared = [compare.key for compare in transaction.compares]
        written = [write.key for write in transaction.writes]
        if self._count:
            taken = self._written
            if not (taken.isdisjoint(compared) and taken.isdisjoint(written)):
                return False
            if not self._compared.isdisjoint(written):
                return False
        total, compares, writes = self._operations(len(compared), len(written))
        body = encode_transaction(transaction, self._root)
        if self._count and (total > OPERATIONS_MAX or self._bytes + len(body) > BYTES_MAX):
            return False
        self._compares, self._writes = compares, writes
        self._count += 1
        self._bytes += len(body)
        self._compared.update(compared)
        self._written.update(written)
        part.transactions.append(transaction)
        part.bodies.append(body)
        return True

    def _operations(self, compares: int, writes: int) -> tuple[int, int, int]:
        """The operations as etcd counts them with one more transaction; the counts of compares and of writes.

        Source: checkTxnRequest in etcd's v3rpc/key.go. The longest of the three lists of a transaction counts; what
        that leaves of the limit is what each nested one may have, whatever its sisters have.
        """
        if self._is_nested:
            compares, writes = max(compares, self._compares), max(writes, self._writes)
            return self._count + 1 + max(compares, writes), compares, writes
        compares, writes = compares + self._compares, writes + self._writes
        return max(compares, writes), compares, writes
