"""A transaction of the store in the words of Consul's: checks first, then writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_wire import (
    BODY_BYTES_MAX,
    FORMAT,
    OPERATIONS_MAX,
    VALUE_BYTES_MAX,
    Operation,
    encode,
    flags_of,
    index_of,
)
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.transaction import Delete, Put

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from addrcast.adapters.stores.consul_wire import Layout
    from addrcast.core.domain.transaction import Transaction

_OPERATIONS_LEFT = OPERATIONS_MAX - 1  # one tells the revision
_BODY_BYTES_LEFT = BODY_BYTES_MAX - 2_048
_INDEX_ANY = 1 << 60


@dataclass(frozen=True, slots=True)
class Compiled:
    """Encoded operations; a transaction without writes changes nothing."""

    checks: tuple[bytes, ...]
    writes: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes in the body."""
        return sum(len(operation) + 1 for operation in self.checks + self.writes)

    @property
    def count(self) -> int:
        """How many operations."""
        return len(self.checks) + len(self.writes)


class Compiler:
    """Compiles transactions. `sessions` are those of the leases that are put under."""

    def __init__(self, layout: Layout, sessions: Mapping[int, str]) -> None:
        self._layout = layout
        self._sessions = sessions

    def compile(self, transaction: Transaction, present: Mapping[str, int]) -> Compiled:
        """Compile one; `present` holds the revisions of keys that are there, of those deleted without a compare."""
        checks: list[bytes] = []
        writes: list[bytes] = []
        compared: dict[str, set[int]] = {}
        for compare in transaction.compares:
            compared.setdefault(compare.key, set()).add(compare.revision)
        written = {write.key for write in transaction.writes if isinstance(write, Put)}
        for key, revisions in compared.items():
            if key not in written or len(revisions) > 1:  # else the write itself compares
                checks += [self._check(key, revision) for revision in sorted(revisions)]
        for write in transaction.writes:
            revisions = compared.get(write.key, set())
            if isinstance(write, Put):
                self._put(write, revisions, checks, writes)
            else:
                self._delete(write.key, revisions, present, checks, writes)
        return Compiled(tuple(dict.fromkeys(checks)), tuple(writes))

    def largest(self, transaction: Transaction) -> Compiled:
        """What a transaction compiles to where all that it deletes is there."""
        return self.compile(transaction, dict.fromkeys(blind_deletes([transaction]), _INDEX_ANY))

    def _put(self, put: Put, compared: set[int], checks: list[bytes], writes: list[bytes]) -> None:
        layout = self._layout
        verb, index = "set", 0
        if len(compared) == 1:
            verb, index = "cas", index_of(*compared)
        writes.append(encode(Operation(verb, layout.key(put.key), put.value, flags_of(put.lease), index)))
        if put.lease:
            session = self._sessions[put.lease]
            checks.append(encode(Operation("check-session", layout.lease(put.lease), session=session)))
            writes.append(encode(Operation("set", layout.leased_key(put.lease, put.key))))

    def _delete(
        self, key: str, compared: set[int], present: Mapping[str, int], checks: list[bytes], writes: list[bytes]
    ) -> None:
        """Only a key that is known to be there is removed: an absent one is no change, and leaves no trace."""
        if not compared:
            checks.append(self._check(key, present.get(key, 0)))
        if compared == {0} or (not compared and key not in present):
            return
        writes += removal(self._layout, key)

    def _check(self, key: str, revision: int) -> bytes:
        if revision == 0:
            return encode(Operation("check-not-exists", self._layout.key(key)))
        return encode(Operation("check-index", self._layout.key(key), index=index_of(revision)))


def removal(layout: Layout, key: str) -> list[bytes]:
    """The operations that remove a key and note when."""
    return [
        encode(Operation("delete", layout.key(key))),
        encode(Operation("set", layout.removal(key), flags=flags_of(0))),
    ]


def mark(layout: Layout) -> bytes:
    """The operation that tells a transaction's revision."""
    return encode(Operation("set", layout.revision, FORMAT, flags_of(0)))


def blind_deletes(transactions: Iterable[Transaction]) -> set[str]:
    """The keys that are deleted without being compared."""
    return {
        write.key
        for transaction in transactions
        for write in transaction.writes
        if isinstance(write, Delete) and all(compare.key != write.key for compare in transaction.compares)
    }


def check_sizes(transactions: Sequence[Transaction], compiled: Sequence[Compiled]) -> None:
    """Raise Invalid for what Consul cannot carry out whatever the state."""
    for transaction, largest in zip(transactions, compiled, strict=True):
        for write in transaction.writes:
            if isinstance(write, Put) and len(write.value) > VALUE_BYTES_MAX:
                rule = f"Consul takes at most {VALUE_BYTES_MAX} bytes, not {len(write.value)}"
                raise Invalid(write.key, write.value[:80], rule)
        if largest.count > _OPERATIONS_LEFT:
            compares, writes = len(transaction.compares), len(transaction.writes)
            rule = (
                f"Consul takes {OPERATIONS_MAX} operations in a transaction, and one tells the revision; "
                f"{compares} compares and {writes} writes make {largest.count}"
            )
            raise Invalid("transaction", [write.key for write in transaction.writes[:8]], rule)
        if largest.size > _BODY_BYTES_LEFT:
            rule = f"Consul takes {BODY_BYTES_MAX} bytes in a transaction, and this one makes {largest.size}"
            raise Invalid("transaction", [write.key for write in transaction.writes[:8]], rule)


def packs(transactions: Sequence[Transaction], compiled: Sequence[Compiled]) -> list[range]:
    """Runs of transactions that fit into one of Consul's and that touch none of each other's writes.

    So it is the same whether they are carried out together or one after the other.
    """
    found: list[range] = []
    begin = count = size = 0
    read: set[str] = set()
    written: set[str] = set()
    for position, (transaction, largest) in enumerate(zip(transactions, compiled, strict=True)):
        writes = {write.key for write in transaction.writes}
        reads = {compare.key for compare in transaction.compares}
        count, size = count + largest.count, size + largest.size
        is_apart = written.isdisjoint(writes | reads) and read.isdisjoint(writes)
        if not is_apart or count > _OPERATIONS_LEFT or size > _BODY_BYTES_LEFT:
            found.append(range(begin, position))
            begin, count, size = position, largest.count, largest.size
            read, written = set(), set()
        read |= reads
        written |= writes
    return [*found, range(begin, len(transactions))]
