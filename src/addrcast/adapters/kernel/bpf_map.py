"""A hash map of the kernel: single elements, and columns of them written, removed and read in batches."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.kernel import bpf_syscall

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_COUNT = 1 << 16
_RETRY_MAX = 8
_ABOUT_BYTES = 1024
_MEMORY = re.compile(rb"^memlock:\s*(\d+)", re.MULTILINE)


class Columns(NamedTuple):
    """Keys and values, each end to end, in no order."""

    keys: bytes
    values: bytes


class HashMap:
    """A map by its descriptor, which is closed with it. Not for several threads at once."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.shape = bpf_syscall.map_shape(descriptor)
        self._about = -1

    def close(self) -> None:
        """Let go of it; what is pinned, or used by a program, lives on."""
        os.close(self.descriptor)
        if self._about >= 0:
            os.close(self._about)

    def get(self, key: bytes, *, size: int = 0) -> bytes | None:
        """The value of a key, if it is there; `size` where it has a part for each CPU. Raises OSError."""
        return bpf_syscall.look_up(self.descriptor, key, size or self.shape.value_size)

    def put(self, key: bytes, value: bytes) -> None:
        """Write a key. Raises OSError, with E2BIG where the map is full."""
        bpf_syscall.update(self.descriptor, key, value)

    def remove(self, key: bytes) -> None:
        """Remove a key; nothing where it is not there. Raises OSError."""
        bpf_syscall.delete(self.descriptor, key)

    def write(self, keys: bytearray, values: bytearray) -> list[tuple[int, int]]:
        """Write elements in order, each replacing what its key had; which of them were refused, with errno.

        Raises OSError for what concerns all of them.
        """
        if not keys:
            return []
        at_keys, at_values = bpf_syscall.address(keys), bpf_syscall.address(values)
        width, value_width = self.shape.key_size, self.shape.value_size

        def part(begin: int, count: int) -> tuple[int, int]:
            first, value = at_keys + begin * width, at_values + begin * value_width
            return bpf_syscall.update_batch(self.descriptor, first, value, count)

        return _refused(len(keys) // width, part)

    def erase(self, keys: bytearray) -> list[tuple[int, int]]:
        """Remove elements; one that is not there counts as removed. Which are still there, with errno."""
        if not keys:
            return []
        at_keys, width = bpf_syscall.address(keys), self.shape.key_size

        def part(begin: int, count: int) -> tuple[int, int]:
            return bpf_syscall.delete_batch(self.descriptor, at_keys + begin * width, count)

        found = _refused(len(keys) // width, part)
        return [(index, code) for index, code in found if code != errno.ENOENT]

    def read(self) -> Columns:
        """All elements; one that is written meanwhile may or may not be among them. Raises OSError."""
        key_size, value_size = self.shape.key_size, self.shape.value_size
        count = min(_READ_COUNT, max(self.shape.max_entries, 1))
        position = bytearray(8)
        keys, values = bytearray(), bytearray()
        is_first, code = True, 0
        while code != errno.ENOENT:
            some, theirs = bytearray(count * key_size), bytearray(count * value_size)
            done, code = bpf_syscall.look_up_batch(
                self.descriptor, position, some, theirs, count, is_first=is_first
            )
            if code == errno.ENOSPC and not done:  # one bucket holds more
                count *= 2
                continue
            if code not in {0, errno.ENOENT, errno.ENOSPC}:
                raise OSError(code, f"reading a map: {os.strerror(code)}")
            keys += memoryview(some)[: done * key_size]
            values += memoryview(theirs)[: done * value_size]
            is_first = False
        return Columns(bytes(keys), bytes(values))

    def memory_bytes(self) -> int:
        """What the kernel says that the map takes, which for our hash maps tells how many elements there are.

        Source: kernel/bpf/hashtab.c, htab_map_mem_usage (Linux 6.4; tcx needs a later one).
        """
        if self._about < 0:
            self._about = os.open(f"/proc/self/fdinfo/{self.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        said = _MEMORY.search(os.pread(self._about, _ABOUT_BYTES, 0))
        return 0 if said is None else int(said[1])


def _refused(count: int, part: Callable[[int, int], tuple[int, int]]) -> list[tuple[int, int]]:
    """Go on after each element that a batch stops at."""
    refused: list[tuple[int, int]] = []
    begin = tries = 0
    while begin < count:
        done, code = part(begin, count - begin)
        begin += done
        if not code:
            continue
        if code in {errno.EAGAIN, errno.EBUSY, errno.EINTR} and tries < _RETRY_MAX:
            tries += 1
            continue
        tries = 0
        refused.append((begin, code))
        begin += 1
    return refused
