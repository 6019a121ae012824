"""Transactions as the bytes of etcd's messages, put together part by part: it is on the path of every create.

Source of the format: the encoding page of Protocol Buffers; the fields are those of `etcd_wire/etcd.proto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.transaction import Put

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from addrcast.core.domain.transaction import Compare, Delete, Transaction

# field << 3 | 2 for what has a length, << 3 for numbers
_TXN_COMPARE, _TXN_SUCCESS, _TXN_FAILURE = b"\x0a", b"\x12", b"\x1a"
_OP_RANGE, _OP_PUT, _OP_DELETE, _OP_TXN = b"\x0a", b"\x12", b"\x1a", b"\x22"
_KEY, _VALUE, _LEASE, _RANGE_REVISION = b"\x0a", b"\x12", b"\x18", b"\x20"
_MOD_EQUALS_KEY, _MOD_REVISION = b"\x10\x02\x1a", b"\x30"

_SMALL_END = 1 << 14
# lengths are looked up: a call for each of the thirty numbers of a binding would cost more than all the rest
_SMALL = [
    bytes((number,)) if number < 128 else bytes((number & 127 | 128, number >> 7)) for number in range(_SMALL_END)
]


def varint(number: int) -> bytes:
    """A number that is not negative, seven bits a byte, the lowest first."""
    if number < _SMALL_END:
        return _SMALL[number]
    if number < 1 << 21:
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def encode_compare(compare: Compare, root: bytes) -> bytes:
    """One entry of TxnRequest.compare, with its tag."""
    key = root + compare.key.encode()
    body = _MOD_EQUALS_KEY + _SMALL[len(key)] + key + _MOD_REVISION + varint(compare.revision)
    return _TXN_COMPARE + _SMALL[len(body)] + body


def encode_get(key: bytes, *, tag: bytes = _TXN_FAILURE, revision: int = 0) -> bytes:
    """One read of a key, as an entry of TxnRequest.failure by default."""
    body = _KEY + _SMALL[len(key)] + key
    if revision:
        body += _RANGE_REVISION + varint(revision)
    operation = _OP_RANGE + _SMALL[len(body)] + body
    return tag + _SMALL[len(operation)] + operation


def encode_write(write: Put | Delete, root: bytes) -> bytes:
    """One entry of TxnRequest.success, with its tag."""
    key = root + write.key.encode()
    body = _KEY + _SMALL[len(key)] + key
    if type(write) is Put:
        value = write.value
        body += _VALUE + varint(len(value)) + value
        if write.lease:
            body += _LEASE + varint(write.lease)
        operation = _OP_PUT + varint(len(body)) + body
    else:
        operation = _OP_DELETE + _SMALL[len(body)] + body
    return _TXN_SUCCESS + varint(len(operation)) + operation


def encode_transaction(transaction: Transaction, root: bytes) -> bytes:
    """A TxnRequest that compares, then writes, or else reads each compared key in the order of the compares.

    It is what `encode_compare`, `encode_write` and `encode_get` make, with each compared key encoded once.
    """
    parts = []
    gets = []
    for compare in transaction.compares:
        key = root + compare.key.encode()
        size = _SMALL[len(key)]
        body = _MOD_EQUALS_KEY + size + key + _MOD_REVISION + varint(compare.revision)
        parts.append(_TXN_COMPARE + _SMALL[len(body)] + body)
        count = len(key) + len(size)
        get = _OP_RANGE + _SMALL[count + 1] + _KEY + size + key
        gets.append(_TXN_FAILURE + _SMALL[len(get)] + get)
    parts += [encode_write(write, root) for write in transaction.writes]
    return b"".join(parts + gets)


def encode_nested(children: Iterable[bytes], weight: bytes = b"") -> bytes:
    """A TxnRequest that carries out others, each of which succeeds or fails by itself, with an `encode_weight`."""
    parts = []
    for child in children:
        operation = _OP_TXN + varint(len(child)) + child
        parts.append(_TXN_SUCCESS + varint(len(operation)) + operation)
    parts.append(weight)
    return b"".join(parts)


def encode_weight(key: str, root: bytes) -> bytes:
    """A put that is never carried out, for a TxnRequest without compares: it stands where those failed.

    etcd holds nested transactions for weightless: they would go past its quota, and past the alarm that follows.
    Source: costTxn in etcd's server/storage/quota.go looks at the puts of both lists, and into no nested one.
    """
    name = root + key.encode()
    body = _KEY + varint(len(name)) + name
    operation = _OP_PUT + varint(len(body)) + body
    return _TXN_FAILURE + varint(len(operation)) + operation


def encode_flat(transactions: Sequence[Transaction], keys: Iterable[str], root: bytes) -> bytes:
    """A TxnRequest that carries out all transactions if each of them can be, else reads `keys` in their order."""
    compares = dict.fromkeys(compare for each in transactions for compare in each.compares)
    parts = [encode_compare(compare, root) for compare in compares]
    parts += [encode_write(write, root) for each in transactions for write in each.writes]
    parts += [encode_get(root + key.encode()) for key in keys]
    return b"".join(parts)


def encode_reads(keys: Iterable[bytes], *, revision: int = 0) -> bytes:
    """A TxnRequest that reads keys, all at one revision (0: the newest)."""
    return b"".join(encode_get(key, tag=_TXN_SUCCESS, revision=revision) for key in keys)
