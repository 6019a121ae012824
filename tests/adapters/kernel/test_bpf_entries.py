"""Entries to the columns of a map and back."""

from __future__ import annotations

from hypothesis import given, strategies

from addrcast.adapters.kernel.bpf_entries import WIDTH, batches, is_address, key_batches, key_of, texts
from addrcast.adapters.kernel.bpf_map import Columns
from addrcast.core.dataplane.table import Rejected, TableEntry, TableKey
from addrcast.core.domain.address import BITS, Family, format_address

V4 = strategies.integers(0, 2**32 - 1).map(lambda number: format_address(Family.IPV4, number))
V6 = strategies.integers(0, 2 ** BITS[Family.IPV6] - 1).map(lambda number: format_address(Family.IPV6, number))
ADDRESSES = V4 | V6 | strategies.sampled_from(["::", "::1", "::a00:1", "::ffff:10.0.0.1", "64:ff9b::1"])
VNIS = strategies.integers(0, 2**24 - 1)
ENTRIES = strategies.lists(strategies.builds(TableEntry, VNIS, ADDRESSES, ADDRESSES), min_size=1, max_size=30)


def written(entries: list[TableEntry]) -> tuple[dict[bytes, bytes], list[Rejected]]:
    """What a map holds after entries, and what was no address."""
    rejected: list[Rejected] = []
    held: dict[bytes, bytes] = {}
    for batch in batches(entries, rejected):
        for at in range(0, len(batch.keys), WIDTH):
            held[bytes(batch.keys[at : at + WIDTH])] = bytes(batch.values[at : at + WIDTH])
            assert batch.name(at // WIDTH) in {entry.key for entry in entries}
    return held, rejected


def read(held: dict[bytes, bytes]) -> dict[TableKey, str]:
    groups = texts(Columns(b"".join(held), b"".join(held.values())))
    return {
        TableKey(vni, logical): physical
        for vni, logicals, physicals in groups
        for logical, physical in zip(logicals, physicals, strict=True)
    }


@given(ENTRIES)
def test_entries_are_read_as_they_were_written_the_last_of_two_for_a_key(entries: list[TableEntry]) -> None:
    held, rejected = written(entries)
    assert rejected == []
    found = read(held)
    wanted = {entry.key: entry.physical for entry in entries}
    assert found == wanted


@given(strategies.lists(strategies.builds(TableEntry, VNIS, V4, V4), min_size=1, max_size=30))
def test_ipv4_entries_of_many_accounts_are_one_batch_in_the_order_given(entries: list[TableEntry]) -> None:
    (batch,) = batches(entries, [])
    assert [batch.name(at) for at in range(len(entries))] == [entry.key for entry in entries]
    assert read(written(entries)[0]) == {entry.key: entry.physical for entry in entries}


@given(ENTRIES)
def test_keys_are_those_that_were_written(entries: list[TableEntry]) -> None:
    held, _ = written(entries)
    removed = set()
    for batch in key_batches([entry.key for entry in entries]):
        removed |= {bytes(batch.keys[at : at + WIDTH]) for at in range(0, len(batch.keys), WIDTH)}
    assert removed == held.keys()


@given(
    strategies.lists(
        strategies.tuples(VNIS, strategies.text(max_size=12) | V4, strategies.text(max_size=12) | V6), min_size=1
    )
)
def test_what_is_no_address_is_rejected_and_nothing_else(raw: list[tuple[int, str, str]]) -> None:
    entries = [TableEntry(*each) for each in raw]
    held, rejected = written(entries)
    last = {entry.key: entry.physical for entry in entries}
    wrong = {key for key, physical in last.items() if not (is_address(key.logical) and is_address(physical))}
    assert {each.key for each in rejected} == wrong
    assert len(held) <= len(last) - len(wrong)
    for batch in key_batches([entry.key for entry in entries]):
        assert all(is_address(batch.name(at).logical) for at in range(len(batch.keys) // WIDTH))


def test_a_key_is_laid_out_as_the_programs_read_it() -> None:
    assert key_of(0x010203, bytes([10, 0, 0, 1])) == bytes([3, 2, 1, 4, 10, 0, 0, 1]) + bytes(12)
    assert key_of(5, bytes(15) + b"\1") == bytes([5, 0, 0, 6]) + bytes(15) + b"\1"
