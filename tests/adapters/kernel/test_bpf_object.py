"""The reader of the packet programs' object, and that the object is what its sources give."""

from __future__ import annotations

import struct
import subprocess
import sys

import pytest
from hypothesis import given, strategies
from tools.bpf_object import COMPILER, OBJECT, can_build, source_hash

from addrcast.adapters.kernel.bpf_object import MalformedObject, Program, read_object
from addrcast.adapters.kernel.bpf_pins import OBJECT as LOADED
from addrcast.adapters.kernel.bpf_settings import BpfSettings
from addrcast.adapters.kernel.bpf_syscall import BPF_F_NO_PREALLOC, BPF_MAP_TYPE_HASH, MapShape

IMAGE = OBJECT.read_bytes()


def test_the_object_is_of_the_sources_that_lie_beside_it() -> None:
    assert OBJECT == LOADED
    assert read_object(IMAGE).source == source_hash(), "run tools/bpf_object.py"


@pytest.mark.skipif(not can_build(), reason=f"{COMPILER} is not here, so the object is not built again")
def test_the_compiler_makes_the_object_byte_for_byte() -> None:
    check = subprocess.run(
        [sys.executable, "tools/bpf_object.py", "--check"],
        cwd=OBJECT.parents[5],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (check.returncode, check.stderr) == (0, "")


def test_programs_and_maps_are_found_by_name() -> None:
    found = read_object(IMAGE)
    assert found.programs.keys() == {"from_instance", "from_tunnel"}
    assert found.maps.keys() == {"entries", "accounts", "instances", "ports", "tunnel", "drops"}
    assert found.maps["entries"] == MapShape(BPF_MAP_TYPE_HASH, 20, 20, 1, BPF_F_NO_PREALLOC)
    assert found.license.rstrip(b"\0") == b"Apache-2.0"
    bounds = {name: BpfSettings().max_entries(name) for name in found.maps}
    assert {name for name, bound in bounds.items() if bound is None} == {"tunnel", "drops"}


def test_what_refers_to_a_map_gets_its_descriptor_and_nothing_else_changes() -> None:
    program = read_object(IMAGE).programs["from_tunnel"]
    descriptors = {name: 1000 + at for at, name in enumerate(sorted(set(program.maps.values())))}
    linked = program.linked(descriptors)
    differing = {
        at // 8 * 8
        for at, (one, other) in enumerate(zip(program.instructions, linked, strict=True))
        if one != other
    }
    assert differing == set(program.maps)
    for offset, name in program.maps.items():
        _, registers, _, number = struct.unpack_from("<BBhi", linked, offset)
        assert (registers >> 4, number) == (1, descriptors[name])
    with pytest.raises(MalformedObject, match="there is no map"):
        program.linked({})


def test_a_reference_to_what_is_no_map_is_refused() -> None:
    assert Program(b"\0" * 8, {}).linked({}) == b"\0" * 8
    with pytest.raises(MalformedObject, match="which is no map"):
        read_object(IMAGE.replace(b"\0maps\0", b"\0mops\0"))


@given(strategies.binary(max_size=200))
def test_bytes_that_are_no_object_are_refused(image: bytes) -> None:
    with pytest.raises(MalformedObject):
        read_object(image)


@given(
    strategies.lists(
        strategies.tuples(strategies.integers(0, len(IMAGE) - 1), strategies.integers(0, 255)),
        min_size=1,
        max_size=8,
    ),
    strategies.integers(0, len(IMAGE)),
)
def test_a_damaged_object_is_refused_or_read_as_another_one(damages: list[tuple[int, int]], end: int) -> None:
    image = bytearray(IMAGE)
    for at, value in damages:
        image[at] = value
    for damaged in (bytes(image), bytes(image[:end])):
        try:
            found = read_object(damaged)
        except MalformedObject:
            continue
        for program in found.programs.values():
            assert len(program.instructions) % 8 == 0


@given(strategies.integers(0, 12), strategies.binary(min_size=8, max_size=8))
def test_damaged_headers_of_sections_are_refused_or_read_as_others(index: int, value: bytes) -> None:
    (table,) = struct.unpack_from("<Q", IMAGE, 40)
    for field in range(8):
        image = bytearray(IMAGE)
        at = table + 64 * index + 8 * field
        image[at : at + 8] = value
        try:
            read_object(bytes(image))
        except MalformedObject:
            continue
