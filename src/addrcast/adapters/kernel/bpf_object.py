"""Reads the one object file that the packet programs are compiled to: programs, maps, what refers to which.

Source: elf(5); Documentation/bpf/llvm_reloc.rst (R_BPF_64_64); include/uapi/linux/bpf.h (BPF_PSEUDO_MAP_FD). Only
little-endian objects without calls between programs are read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from addrcast.adapters.kernel.bpf_syscall import MapShape

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQ")
_MAP = struct.Struct("<IIIII")
_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian, version 1
_EM_BPF = 247
_SHT_SYMTAB, _SHT_NOBITS, _SHT_REL = 2, 8, 9
_STT_FUNC = 2
_R_BPF_64_64 = 1
_LOAD_64 = 0x18  # BPF_LD | BPF_DW | BPF_IMM
_PSEUDO_MAP_FD = 1
_INSTRUCTION = struct.Struct("<BBhi")


class MalformedObject(Exception):
    """Bytes that are no object file of ours."""


class Program(NamedTuple):
    """Instructions, and the map that each of some of them refers to, by the instruction's offset in bytes."""

    instructions: bytes
    maps: Mapping[int, str]

    def linked(self, descriptors: Mapping[str, int]) -> bytes:
        """The instructions with the descriptors of real maps in place. Raises MalformedObject."""
        code = bytearray(self.instructions)
        for offset, name in self.maps.items():
            if name not in descriptors:
                raise MalformedObject(f"there is no map {name}")
            opcode, registers, displacement, _ = _INSTRUCTION.unpack_from(code, offset)
            marked = registers & 0x0F | _PSEUDO_MAP_FD << 4  # the source register says what the number is
            _INSTRUCTION.pack_into(code, offset, opcode, marked, displacement, descriptors[name])
        return bytes(code)


class Object(NamedTuple):
    """What an object file holds; the sizes of its hash maps are for the one who makes them to choose."""

    programs: Mapping[str, Program]
    maps: Mapping[str, MapShape]
    license: bytes
    source: str


class _Section(NamedTuple):
    name: str
    kind: int
    content: bytes
    link: int
    about: int


class _Symbol(NamedTuple):
    name: str
    kind: int
    section: int
    value: int
    size: int


def read_object(image: bytes) -> Object:
    """Read an object file. Raises MalformedObject."""
    try:
        sections = _sections(image)
        return _object(sections, _symbols(sections))
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise MalformedObject(f"not whole: {error}") from error


def _object(sections: list[_Section], symbols: list[_Symbol]) -> Object:
    named = {section.name: section.content for section in sections}
    maps: dict[str, MapShape] = {}
    programs: dict[str, Program] = {}
    for symbol in symbols:
        if not symbol.name or not 0 < symbol.section < len(sections):
            continue
        where = sections[symbol.section]
        if where.name == "maps":
            maps[symbol.name] = MapShape(*_MAP.unpack_from(where.content, symbol.value))
        elif symbol.kind == _STT_FUNC:
            if symbol.value or symbol.size != len(where.content) or symbol.size % _INSTRUCTION.size:
                raise MalformedObject(f"{symbol.name} is not all of its section")
            programs[symbol.name] = Program(where.content, _references(symbol.section, sections, symbols))
    return Object(programs, maps, named.get("license", b""), named.get("source", b"").rstrip(b"\0").decode())


def _references(target: int, sections: list[_Section], symbols: list[_Symbol]) -> dict[int, str]:
    found: dict[int, str] = {}
    code = sections[target].content
    for section in sections:
        if section.kind != _SHT_REL or section.about != target:
            continue
        for offset, what in _RELOCATION.iter_unpack(section.content):
            symbol = symbols[what >> 32]
            if what & 0xFFFFFFFF != _R_BPF_64_64 or not 0 < symbol.section < len(sections):
                raise MalformedObject(f"a reference to {symbol.name or 'nothing'} of a kind that is not known here")
            if sections[symbol.section].name != "maps":
                raise MalformedObject(f"a reference to {symbol.name or 'a constant'}, which is no map")
            if offset % _INSTRUCTION.size or offset + 2 * _INSTRUCTION.size > len(code) or code[offset] != _LOAD_64:
                raise MalformedObject("a reference by what loads no address")
            found[offset] = symbol.name
    return found


def _sections(image: bytes) -> list[_Section]:
    ident, _, machine, _, _, _, table, _, _, _, _, size, count, names = _HEADER.unpack_from(image)
    if not ident.startswith(_MAGIC) or machine != _EM_BPF or size != _SECTION.size:
        raise MalformedObject("no 64-bit little-endian BPF object")
    headers = [_SECTION.unpack_from(image, table + at * size) for at in range(count)]
    contents = [_content(image, header[1], header[4], header[5]) for header in headers]
    texts = contents[names]
    return [
        _Section(_text(texts, header[0]), header[1], content, header[6], header[7])
        for header, content in zip(headers, contents, strict=True)
    ]


def _content(image: bytes, kind: int, offset: int, size: int) -> bytes:
    if kind == _SHT_NOBITS:
        return b""
    if offset + size > len(image):
        raise MalformedObject(f"a section of {size} bytes at {offset} in {len(image)} bytes")
    return image[offset : offset + size]


def _symbols(sections: list[_Section]) -> list[_Symbol]:
    for section in sections:
        if section.kind == _SHT_SYMTAB:
            texts = sections[section.link].content
            return [
                _Symbol(_text(texts, name), kind & 0x0F, where, value, size)
                for name, kind, _, where, value, size in _SYMBOL.iter_unpack(section.content)
            ]
    raise MalformedObject("no table of symbols")


def _text(texts: bytes, offset: int) -> str:
    return texts[offset : texts.index(b"\0", offset)].decode() if texts.find(b"\0", offset) >= 0 else ""
