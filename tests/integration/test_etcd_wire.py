"""etcd's messages: generated as committed, and transactions put together by hand are the same bytes' worth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from addrcast.adapters.stores.etcd_encode import (
    encode_flat,
    encode_nested,
    encode_reads,
    encode_transaction,
    encode_weight,
)
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.core.domain.transaction import Compare, Delete, Put, Transaction

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "src/addrcast/adapters/stores/etcd_wire"

KEYS = st.text(min_size=1, max_size=127).filter(lambda key: key.isprintable())
NUMBERS = st.integers(0, (1 << 63) - 1)
PUTS = st.builds(Put, KEYS, st.binary(max_size=20_000), st.one_of(st.just(0), NUMBERS))
WRITES = st.lists(st.one_of(PUTS, st.builds(Delete, KEYS)), max_size=4)
COMPARES = st.lists(st.builds(Compare, KEYS, NUMBERS), max_size=4)
TRANSACTIONS = st.builds(lambda compares, writes: Transaction(tuple(compares), tuple(writes)), COMPARES, WRITES)
ROOTS = st.binary(max_size=8)


def get(key: bytes, revision: int = 0) -> wire.RequestOp:
    return wire.RequestOp(request_range=wire.RangeRequest(key=key, revision=revision))


def write(root: bytes, each: Put | Delete) -> wire.RequestOp:
    key = root + each.key.encode()
    if isinstance(each, Put):
        return wire.RequestOp(request_put=wire.PutRequest(key=key, value=each.value, lease=each.lease))
    return wire.RequestOp(request_delete_range=wire.DeleteRangeRequest(key=key))


def compare(root: bytes, each: Compare) -> wire.Compare:
    key = root + each.key.encode()
    return wire.Compare(target=wire.Compare.MOD, key=key, mod_revision=each.revision)


def message(root: bytes, transaction: Transaction) -> wire.TxnRequest:
    return wire.TxnRequest(
        compare=[compare(root, each) for each in transaction.compares],
        success=[write(root, each) for each in transaction.writes],
        failure=[get(root + each.key.encode()) for each in transaction.compares],
    )


def test_generating_the_messages_again_gives_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools/etcd_wire.py", tmp_path], check=True)
    for name in ("etcd_pb2.py", "etcd_pb2.pyi"):
        assert (tmp_path / name).read_text() == (COMMITTED / name).read_text(), name


@given(TRANSACTIONS, ROOTS)
def test_a_transaction_is_encoded_as_the_library_would(transaction: Transaction, root: bytes) -> None:
    assert wire.TxnRequest.FromString(encode_transaction(transaction, root)) == message(root, transaction)


@given(st.lists(TRANSACTIONS, max_size=5), ROOTS)
def test_nested_transactions_are_encoded_as_the_library_would(transactions: list[Transaction], root: bytes) -> None:
    encoded = encode_nested((encode_transaction(each, root) for each in transactions), encode_weight("k", root))
    nested = [wire.RequestOp(request_txn=message(root, each)) for each in transactions]
    weight = [write(root, Put("k", b""))]
    assert wire.TxnRequest.FromString(encoded) == wire.TxnRequest(success=nested, failure=weight)


@given(st.lists(TRANSACTIONS, max_size=5), st.lists(KEYS, max_size=3), ROOTS)
def test_flat_transactions_compare_each_thing_once(
    transactions: list[Transaction], keys: list[str], root: bytes
) -> None:
    compares = dict.fromkeys(each for transaction in transactions for each in transaction.compares)
    flat = wire.TxnRequest(
        compare=[compare(root, each) for each in compares],
        success=[write(root, each) for transaction in transactions for each in transaction.writes],
        failure=[get(root + key.encode()) for key in keys],
    )
    assert wire.TxnRequest.FromString(encode_flat(transactions, keys, root)) == flat


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), NUMBERS)
def test_reads_are_encoded_as_the_library_would(keys: list[bytes], revision: int) -> None:
    encoded = encode_reads(keys, revision=revision)
    assert wire.TxnRequest.FromString(encoded) == wire.TxnRequest(success=[get(key, revision) for key in keys])
