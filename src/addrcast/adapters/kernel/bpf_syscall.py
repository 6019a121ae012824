"""The system call bpf(2): maps, programs, pins and tcx links, as far as they are used here.

Source: include/uapi/linux/bpf.h, `union bpf_attr`, whose constants are repeated here since the headers of a
distribution lack the newest of them (tcx, Linux 6.6). Attributes that are left out count as zero.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM = 0, 1, 2, 3
BPF_PROG_LOAD, BPF_OBJ_PIN, BPF_OBJ_GET = 5, 6, 7
BPF_OBJ_GET_INFO_BY_FD = 15
BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH = 24, 26, 27
BPF_LINK_CREATE, BPF_LINK_UPDATE = 28, 29

BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY = 1, 2, 6
BPF_F_NO_PREALLOC = 1
BPF_PROG_TYPE_SCHED_CLS = 3
BPF_TCX_INGRESS = 46
BPF_LINK_TYPE_TCX = 11

_MAP_CREATE = struct.Struct("=IIIIIII16s")
_ELEMENT = struct.Struct("=IxxxxQQQ")
_BATCH = struct.Struct("=QQQQIIQQ")
_BATCH_COUNT_OFFSET = 32
_PROG_LOAD = struct.Struct("=IIQQIIQII16sII")
_OBJECT = struct.Struct("=QI")
_INFO = struct.Struct("=IIQ")
_LINK_CREATE = struct.Struct("=IIII")
_LINK_UPDATE = struct.Struct("=III")
_MAP_INFO = struct.Struct("=IIIIII16s")
_LINK_INFO = struct.Struct("=IIIxxxxII")
_PROG_INFO_ID_OFFSET = 4

_INSTRUCTION_BYTES = 8
_LOG_BYTES = 1 << 20
_LOG_TAIL = 2000
_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280}
"""The number of the call. Source: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class MapShape(NamedTuple):
    """What a map is made as: its type, widths of key and value in bytes, how many at most, flags."""

    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class LinkInfo(NamedTuple):
    """Which program is attached to which interface; the interface is 0 when it is gone."""

    kind: int
    program: int
    ifindex: int


class Refused(OSError):
    """The verifier did not take a program; the end of its log is in the words."""


def bpf(command: int, attributes: bytes | bytearray) -> int:
    """Make the call; its result, often a descriptor. Raises OSError. Other threads run meanwhile."""
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"the number of bpf(2) on {platform.machine()} is not known here")
    buffer = bytearray(attributes)
    result: int = _libc.syscall(
        ctypes.c_long(number), ctypes.c_int(command), ctypes.c_void_p(address(buffer)), ctypes.c_uint(len(buffer))
    )
    if isinstance(attributes, bytearray):
        attributes[:] = buffer
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf({command}): {os.strerror(code)}")
    return result


def address(buffer: bytearray) -> int:
    """Where a buffer, not an empty one, lies in memory; it has to be kept alive and of its size by the caller."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def create_map(name: str, shape: MapShape) -> int:
    """A new map's descriptor. Raises OSError."""
    kind, key_size, value_size, max_entries, flags = shape
    return bpf(
        BPF_MAP_CREATE, _MAP_CREATE.pack(kind, key_size, value_size, max_entries, flags, 0, 0, name.encode()[:15])
    )


def look_up(descriptor: int, key: bytes, value_size: int) -> bytes | None:
    """The value of a key, if it is there. Raises OSError."""
    keys, value = bytearray(key), bytearray(value_size)
    try:
        bpf(BPF_MAP_LOOKUP_ELEM, _ELEMENT.pack(descriptor, address(keys), address(value), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return bytes(value)


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Write a key, or replace what it had, at once. Raises OSError."""
    keys, values = bytearray(key), bytearray(value)
    bpf(BPF_MAP_UPDATE_ELEM, _ELEMENT.pack(descriptor, address(keys), address(values), 0))


def delete(descriptor: int, key: bytes) -> bool:
    """Remove a key; whether it was there. Raises OSError."""
    keys = bytearray(key)
    try:
        bpf(BPF_MAP_DELETE_ELEM, _ELEMENT.pack(descriptor, address(keys), 0, 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def update_batch(descriptor: int, keys: int, values: int, count: int) -> tuple[int, int]:
    """Write keys and values that lie end to end at two memory addresses, in order, up to the first refusal.

    How many were written, and the errno of the one after them; 0 where all were.
    """
    return _batch(BPF_MAP_UPDATE_BATCH, _BATCH.pack(0, 0, keys, values, count, descriptor, 0, 0))


def delete_batch(descriptor: int, keys: int, count: int) -> tuple[int, int]:
    """Remove keys that lie end to end at a memory address, in order; see `update_batch`."""
    return _batch(BPF_MAP_DELETE_BATCH, _BATCH.pack(0, 0, keys, 0, count, descriptor, 0, 0))


def look_up_batch(
    descriptor: int, begin: bytearray, keys: bytearray, values: bytearray, count: int, *, is_first: bool
) -> tuple[int, int]:
    """Read up to `count` elements from where `begin` says, and have it say where to go on.

    How many were read, and an errno: 0, ENOENT after the last, ENOSPC where `count` is too small to go on.
    """
    start = 0 if is_first else address(begin)
    attributes = _BATCH.pack(start, address(begin), address(keys), address(values), count, descriptor, 0, 0)
    return _batch(BPF_MAP_LOOKUP_BATCH, attributes)


def _batch(command: int, attributes: bytes) -> tuple[int, int]:
    buffer = bytearray(attributes)
    code = 0
    try:
        bpf(command, buffer)
    except OSError as error:
        code = error.errno or errno.EINVAL
    (done,) = struct.unpack_from("=I", buffer, _BATCH_COUNT_OFFSET)
    if code in {errno.EBADF, errno.EFAULT, errno.EINVAL, errno.EPERM}:  # these come before the count is written
        raise OSError(code, f"bpf({command}): {os.strerror(code)}")
    return done, code


def load_program(name: str, instructions: bytes, license_name: bytes) -> int:
    """A loaded program for tcx. Raises Refused with the verifier's last words, OSError."""
    code = bytearray(instructions)
    words = bytearray(license_name.rstrip(b"\0") + b"\0")

    def load(log: bytearray) -> int:
        level, size, where = (1, len(log), address(log)) if log else (0, 0, 0)
        attributes = _PROG_LOAD.pack(
            BPF_PROG_TYPE_SCHED_CLS,
            len(code) // _INSTRUCTION_BYTES,
            address(code),
            address(words),
            level,
            size,
            where,
            0,
            0,
            name.encode()[:15],
            0,
            BPF_TCX_INGRESS,
        )
        return bpf(BPF_PROG_LOAD, attributes)

    try:
        return load(bytearray())
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EACCES}:
            raise
    log = bytearray(_LOG_BYTES)
    try:
        return load(log)
    except OSError as error:
        said = log.partition(b"\0")[0].decode(errors="replace")[-_LOG_TAIL:]
        raise Refused(error.errno, f"the verifier refuses the program {name}: {said or error}") from error


def pin(descriptor: int, path: str) -> None:
    """Give a map, program or link a name in a bpf file system, which keeps it. Raises OSError."""
    name = bytearray(os.fsencode(path) + b"\0")
    bpf(BPF_OBJ_PIN, _OBJECT.pack(address(name), descriptor))


def get_pinned(path: str) -> int:
    """A descriptor of what has a name. Raises OSError."""
    name = bytearray(os.fsencode(path) + b"\0")
    return bpf(BPF_OBJ_GET, _OBJECT.pack(address(name), 0))


def attach_tcx(program: int, ifindex: int) -> int:
    """A link that has a program see what comes in by an interface, until it is let go of. Raises OSError."""
    # all of the union's tcx part: relative_fd, expected_revision
    return bpf(BPF_LINK_CREATE, _LINK_CREATE.pack(program, ifindex, BPF_TCX_INGRESS, 0) + bytes(16))


def replace_program(link: int, program: int) -> None:
    """Put another program in a link's place, between two packets. Raises OSError."""
    bpf(BPF_LINK_UPDATE, _LINK_UPDATE.pack(link, program, 0))


def map_shape(descriptor: int) -> MapShape:
    """What a map was made as. Raises OSError."""
    kind, _, key_size, value_size, max_entries, flags, _ = _info(descriptor, _MAP_INFO)
    return MapShape(kind, key_size, value_size, max_entries, flags)


def map_id(descriptor: int) -> int:
    """The number that a map has as long as it lives. Raises OSError."""
    number: int = _info(descriptor, _MAP_INFO)[1]
    return number


def link_info(descriptor: int) -> LinkInfo:
    """What a link joins. Raises OSError."""
    kind, _, program, ifindex, _ = _info(descriptor, _LINK_INFO)
    return LinkInfo(kind, program, ifindex)


def _info(descriptor: int, layout: struct.Struct) -> tuple[int, ...]:
    answer = bytearray(layout.size)
    bpf(BPF_OBJ_GET_INFO_BY_FD, _INFO.pack(descriptor, len(answer), address(answer)))
    return layout.unpack(answer)
