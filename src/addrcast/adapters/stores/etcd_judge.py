"""What etcd's answer to a group says of each of its transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.adapters.stores.etcd_encode import encode_nested, encode_weight
from addrcast.core.domain.transaction import Put, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
    from addrcast.core.domain.transaction import KeyValue, Transaction

    ItemOf = Callable[[wire.KeyValue], KeyValue]


def nested_request(bodies: Sequence[bytes], transactions: Iterable[Transaction], root: bytes) -> bytes:
    """The transaction that carries out others, each for itself; one alone needs nothing around it."""
    if len(bodies) == 1:
        return bodies[0]
    put = next((write.key for each in transactions for write in each.writes if type(write) is Put), None)
    return encode_nested(bodies, b"" if put is None else encode_weight(put, root))


def nested_results(count: int, answer: wire.TxnResponse, item_of: ItemOf) -> list[Result]:
    """The results of the `count` transactions of a nested request, in their order."""
    revision = answer.header.revision
    won = Result(is_success=True, revision=revision)
    answers = [answer] if count == 1 else [each.response_txn for each in answer.responses]
    return [
        won if each.succeeded else Result(False, revision, _current(each.responses, item_of)) for each in answers
    ]


def _current(responses: Iterable[wire.ResponseOp], item_of: ItemOf) -> tuple[KeyValue | None, ...]:
    """What the reads in place of the writes found, in their order."""
    found = (each.response_range.kvs for each in responses)
    return tuple(item_of(kvs[0]) if kvs else None for kvs in found)


def compared_keys(transactions: Iterable[Transaction]) -> tuple[str, ...]:
    """Every key that is compared, once."""
    return tuple(dict.fromkeys(compare.key for each in transactions for compare in each.compares))


def flat_results(
    transactions: Sequence[Transaction], keys: Sequence[str], answer: wire.TxnResponse, item_of: ItemOf
) -> list[Result | None]:
    """The results of transactions that were to succeed together; None for those to be tried again without the rest.

    Where one of them failed, all compared keys were read instead, and that tells which ones.
    """
    revision = answer.header.revision
    if answer.succeeded:
        return [Result(is_success=True, revision=revision)] * len(transactions)
    current = dict(zip(keys, _current(answer.responses, item_of), strict=True))
    return [None if _holds(each, current) else _refusal(each, current, revision) for each in transactions]


def _holds(transaction: Transaction, current: Mapping[str, KeyValue | None]) -> bool:
    for compare in transaction.compares:
        item = current[compare.key]
        if compare.revision != (item.mod_revision if item else 0):
            return False
    return True


def _refusal(transaction: Transaction, current: Mapping[str, KeyValue | None], revision: int) -> Result:
    return Result(False, revision, tuple(current[compare.key] for compare in transaction.compares))
