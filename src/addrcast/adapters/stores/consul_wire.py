"""What goes over the wire to Consul: operations, entries, answers, and where the store lies in it."""

from __future__ import annotations

from secrets import randbits

import msgspec

from addrcast.core.domain.transaction import KeyValue

OPERATIONS_MAX = 64  # of one transaction; fixed in Consul
BODY_BYTES_MAX = 512 * 1024  # Consul's default `limits.txn_max_req_len`; values travel in base64
VALUE_BYTES_MAX = 376 * 1024

LEASE_BITS = 40
_NONCE_BITS = 64 - LEASE_BITS
_INDEX_MAX = (1 << 64) - 1
_END = "="
FORMAT = b"1"  # what `meta/revision` holds


class Operation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="pascal"):
    """One operation on a key. Source: the txn endpoint of Consul's HTTP API."""

    verb: str
    key: str
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str = ""


class Entry(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A key as Consul holds it; `flags` carry the store's lease, see Layout."""

    key: str
    create_index: int
    modify_index: int
    value: bytes | None = None
    flags: int = 0


class OperationError(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Why an operation refused its transaction."""

    op_index: int
    what: str


class _Wrapped(msgspec.Struct, frozen=True, gc=False, rename={"operation": "KV"}):
    operation: Operation


class _Result(msgspec.Struct, frozen=True, gc=False, rename={"entry": "KV"}):
    entry: Entry


class Answer(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """What Consul says of a transaction: the entries of its operations in order, or all their errors."""

    results: list[_Result] | None = None
    errors: list[OperationError] | None = None

    def entries(self) -> list[Entry]:
        """The entries; deletions and checks of absence have none."""
        return [result.entry for result in self.results or ()]


_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(Answer)


def encode(operation: Operation) -> bytes:
    """An operation as it stands in the body of a transaction."""
    return _encoder.encode(_Wrapped(operation))


def body_of(operations: list[bytes]) -> bytes:
    """The body of a transaction of encoded operations."""
    return b"[" + b",".join(operations) + b"]"


def decode_answer(body: bytes) -> Answer:
    """An answer of the txn endpoint. Raises msgspec.MsgspecError for what is none."""
    return _answers.decode(body)


class Layout:
    """Where things lie in Consul, below a root of their own.

    `key/<key>=` holds a value, its lease in the upper 40 bits of the flags; `removed/<key>=` tells by its
    ModifyIndex when the key was removed last; `lease/<lease>` is held by the session of a lease, whose id is its
    value; `leased/<lease>/<key>` names what may hang on it; `meta/revision` is written by every transaction that
    changes something, so its ModifyIndex is the store's revision; `meta/compacted` holds the last one forgotten.

    The `=` lets one key be looked for as a prefix, which finds it or nothing; a plain get of an absent key would
    fail the whole read.
    """

    def __init__(self, root: str) -> None:
        self.root = f"{root}/" if root else ""
        self.keys = f"{self.root}key/"
        self.removed = f"{self.root}removed/"
        self.leases = f"{self.root}lease/"
        self.leased = f"{self.root}leased/"
        self.meta = f"{self.root}meta/"
        self.revision = f"{self.meta}revision"
        self.compacted = f"{self.meta}compacted"

    def key(self, key: str) -> str:
        """Where a key's value lies."""
        return f"{self.keys}{key}{_END}"

    def removal(self, key: str) -> str:
        """Where a key's last removal is noted."""
        return f"{self.removed}{key}{_END}"

    def lease(self, lease: int) -> str:
        """What the session of a lease holds."""
        return f"{self.leases}{lease}"

    def leased_key(self, lease: int, key: str) -> str:
        """The note that a key may hang on a lease."""
        return f"{self.leased}{lease}/{key}"

    def item(self, entry: Entry) -> KeyValue:
        """The key and value of an entry below `keys`."""
        return KeyValue(
            entry.key[len(self.keys) : -len(_END)],
            entry.value or b"",
            entry.create_index,
            entry.modify_index,
            entry.flags >> _NONCE_BITS,
        )

    def is_whole(self, entry: Entry) -> bool:
        """Whether an entry is one of the store's, and not put there by hand."""
        return entry.key.endswith(_END)

    def removed_key(self, entry: Entry) -> str:
        """The key whose removal an entry below `removed` notes."""
        return entry.key[len(self.removed) : -len(_END)]

    def leased_pair(self, entry: Entry) -> tuple[int, str]:
        """The lease and the key of an entry below `leased`."""
        lease, _, key = entry.key[len(self.leased) :].partition("/")
        return int(lease), key


def flags_of(lease: int) -> int:
    """Flags that name a lease and differ from write to write.

    Consul takes a write that changes neither value nor flags for none: the key would keep its ModifyIndex, which
    happens once in 16 million times that a value is put again as it stands.
    """
    return lease << _NONCE_BITS | randbits(_NONCE_BITS)


def index_of(revision: int) -> int:
    """A revision as an index; what no key can have becomes an index that no key has."""
    return revision if 0 <= revision < _INDEX_MAX else _INDEX_MAX
