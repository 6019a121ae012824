"""bpf(2) on the running kernel: maps by element and by batch, names in the file system, refusals in words."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from tests import bpf
from tests.netns import Namespaces

from addrcast.adapters.kernel import bpf_syscall
from addrcast.adapters.kernel.bpf import BpfKernel
from addrcast.adapters.kernel.bpf_map import HashMap
from addrcast.adapters.kernel.bpf_pins import mount
from addrcast.adapters.kernel.bpf_settings import FILE_SYSTEM, BpfSettings
from addrcast.adapters.kernel.bpf_syscall import BPF_F_NO_PREALLOC, BPF_MAP_TYPE_HASH, MapShape
from addrcast.core.domain.errors import Exhausted, Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(bpf.lacks()), reason=bpf.lacks())
SHAPE = MapShape(BPF_MAP_TYPE_HASH, 4, 8, 64, BPF_F_NO_PREALLOC)
KEYS = strategies.lists(strategies.integers(0, 40), max_size=40)
REUSED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def table() -> Iterator[HashMap]:
    made = HashMap(bpf_syscall.create_map("test", SHAPE))
    yield made
    made.close()


def keys_of(numbers: list[int]) -> bytearray:
    return bytearray(struct.pack(f"{len(numbers)}I", *numbers))


def values_of(numbers: list[int]) -> bytearray:
    return bytearray(struct.pack(f"{len(numbers)}Q", *numbers))


def held(table: HashMap) -> dict[int, int]:
    keys, values = table.read()
    return dict(zip(memoryview(keys).cast("I"), memoryview(values).cast("Q"), strict=True))


@given(first=KEYS, second=KEYS, gone=KEYS)
@REUSED
def test_a_map_holds_what_was_written_and_not_removed(first: list[int], second: list[int], gone: list[int]) -> None:
    table = HashMap(bpf_syscall.create_map("test", SHAPE))
    try:
        bare = table.memory_bytes()
        assert table.write(keys_of(first), values_of(first)) == []
        assert table.write(keys_of(second), values_of([each + 100 for each in second])) == []
        assert table.erase(keys_of(gone)) == []
        wanted = dict(zip(first, first, strict=True)) | {each: each + 100 for each in second}
        wanted = {key: value for key, value in wanted.items() if key not in gone}
        assert held(table) == wanted
        element = 0 if not wanted else (table.memory_bytes() - bare) / len(wanted)
        assert element == 0 or element > 48, "the kernel tells the number of elements by the memory"
        for key in range(3):
            value = table.get(struct.pack("I", key))
            assert (None if value is None else struct.unpack("Q", value)[0]) == wanted.get(key)
    finally:
        table.close()


def test_a_full_map_refuses_new_keys_only_and_says_which(table: HashMap) -> None:
    numbers = list(range(100))
    refused = table.write(keys_of(numbers), values_of(numbers))
    assert refused == [(index, errno.E2BIG) for index in range(64, 100)]
    assert table.write(keys_of([70, 3, 71, 4]), values_of([9, 9, 9, 9])) == [(0, errno.E2BIG), (2, errno.E2BIG)]
    assert (held(table)[3], held(table)[4], len(held(table))) == (9, 9, 64)


def test_a_map_larger_than_what_is_read_at_a_time_is_read_whole() -> None:
    count = 150_000
    table = HashMap(bpf_syscall.create_map("test", SHAPE._replace(max_entries=count)))
    try:
        numbers = list(range(count))
        assert table.write(keys_of(numbers), values_of(numbers)) == []
        assert held(table) == dict(zip(numbers, numbers, strict=True))
    finally:
        table.close()


def test_what_concerns_a_whole_batch_is_raised(table: HashMap) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        bpf_syscall.update_batch(10**6, *(bpf_syscall.address(bytearray(64)),) * 2, 3)


def test_an_element_that_is_not_there_is_none_and_its_removal_no_error(table: HashMap) -> None:
    assert table.get(b"none") is None
    table.remove(b"none")
    assert bpf_syscall.delete(table.descriptor, b"none") is False


def test_a_map_is_found_by_its_name(table: HashMap) -> None:
    mount(FILE_SYSTEM)
    path = FILE_SYSTEM / f"test{os.getpid()}"
    bpf_syscall.pin(table.descriptor, str(path))
    try:
        table.put(b"abcd", b"12345678")
        again = HashMap(bpf_syscall.get_pinned(str(path)))
        assert (again.get(b"abcd"), again.shape) == (b"12345678", SHAPE)
        assert bpf_syscall.map_id(again.descriptor) == bpf_syscall.map_id(table.descriptor)
        again.close()
    finally:
        path.unlink()
    with pytest.raises(FileNotFoundError):
        bpf_syscall.get_pinned(str(path))


def test_the_verifier_says_why_it_refuses() -> None:
    returns_nothing = bytes([0x95]) + bytes(7)  # exit, with no value in register 0
    with pytest.raises(bpf_syscall.Refused, match="R0 !read_ok"):
        bpf_syscall.load_program("wrong", returns_nothing, b"Apache-2.0")


async def test_what_is_missing_is_told_as_unavailable() -> None:
    with pytest.raises(Unavailable, match="kernel table"):
        await BpfKernel.open(BpfSettings(prefix=f"t{os.getpid()}", substrate=FILE_SYSTEM / "no-namespace"))


async def test_more_accounts_than_the_setting_allows_are_refused_with_the_setting(
    tmp_settings: BpfSettings,
) -> None:
    async with bpf.opened(tmp_settings) as kernel:
        for vni in (1, 2):
            await kernel.ensure_account(vni)
        with pytest.raises(Exhausted, match="accounts_max allows 2"):
            await kernel.ensure_account(3)
        await kernel.ensure_account(2)
        with pytest.raises(Invalid, match="vni"):
            await kernel.ensure_account(1 << 24)
        assert await kernel.dump() == {1: {}, 2: {}}


async def test_a_map_of_another_release_is_not_touched(tmp_settings: BpfSettings) -> None:
    async with bpf.opened(tmp_settings) as kernel:
        await kernel.ensure_account(1)
    path = tmp_settings.pins / "maps" / "entries"
    path.unlink()
    other = bpf_syscall.create_map("other", SHAPE)
    bpf_syscall.pin(other, str(path))
    os.close(other)
    with pytest.raises(Invalid, match="a map of this release"):
        await BpfKernel.open(tmp_settings)


def test_the_settings_name_every_map_that_others_size() -> None:
    assert BpfSettings(entries_max=7).max_entries("entries") == 7
    assert BpfSettings().instance_mtu == 1464
    assert BpfSettings(is_substrate_ipv6=True).instance_mtu == 1444


@pytest.fixture
def tmp_settings() -> Iterator[BpfSettings]:
    with Namespaces() as names:
        made = BpfSettings(
            prefix=names.prefix, substrate=names.add("host"), entries_max=64, accounts_max=2, instances_max=4
        )
        yield made
        shutil.rmtree(made.pins, ignore_errors=True)
