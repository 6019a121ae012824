"""Addresses and prefixes: numbers inside, one canonical text outside."""

from __future__ import annotations

import re
from enum import IntEnum
from ipaddress import IPv6Address
from typing import NamedTuple

from addrcast.core.domain.errors import Invalid


class Family(IntEnum):
    """The two families; the value is the version number of the protocol."""

    IPV4 = 4
    IPV6 = 6


BITS: dict[Family, int] = {Family.IPV4: 32, Family.IPV6: 128}

_OCTETS = {str(octet): octet for octet in range(256)}
_OCTET_TEXTS = tuple(_OCTETS)
_LENGTHS = {str(length): length for length in range(129)}
_ZERO_GROUPS = re.compile(r"\b0(?::0)+\b")
_MAPPED = 0xFFFF  # ::ffff:0:0/96, IPv4-mapped


class Address(NamedTuple):
    """An address as a number; IPv4 sorts before IPv6."""

    family: Family
    number: int

    def __str__(self) -> str:
        return format_address(self.family, self.number)


def parse_address(text: str) -> Address:
    """Read an address that is written canonically, as keys must be. Raises Invalid.

    IPv4 has four decimal numbers without leading zeros, IPv6 the form of RFC 5952 without a zone.
    """
    try:
        if ":" in text:
            number = int(IPv6Address(text))
            canonical = format_address(Family.IPV6, number)
            if canonical == text:
                return Address(Family.IPV6, number)
            rule = f"it must be written as {canonical}"
        else:
            first, second, third, fourth = text.split(".")
            number = _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
            return Address(Family.IPV4, number)
    except (KeyError, ValueError):
        rule = "an IPv4 address such as 10.0.0.1 or an IPv6 address such as 2001:db8::1 is expected"
    raise Invalid("address", text[:80], rule)


def format_address(family: Family, number: int) -> str:
    """Write an address as it stands in keys. Source: RFC 5952, sections 4 and 5.

    The standard library would do, but its text of mapped addresses differs between versions of Python, and keys
    outlive those.
    """
    if family is Family.IPV4:
        texts = _OCTET_TEXTS
        return f"{texts[number >> 24]}.{texts[number >> 16 & 255]}.{texts[number >> 8 & 255]}.{texts[number & 255]}"
    if number >> 32 == _MAPPED:
        return f"::ffff:{format_address(Family.IPV4, number & 0xFFFFFFFF)}"
    groups = ":".join([f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)])
    longest = max(_ZERO_GROUPS.finditer(groups), key=lambda run: len(run[0]), default=None)
    if longest is None:
        return groups
    return f"{groups[: longest.start()].rstrip(':')}::{groups[longest.end() :].lstrip(':')}"


class Prefix(NamedTuple):
    """All addresses that share their first `length` bits; `first` is the lowest of them."""

    family: Family
    first: int
    length: int

    def __str__(self) -> str:
        return f"{format_address(self.family, self.first)}/{self.length}"

    @property
    def size(self) -> int:
        """How many addresses there are."""
        return 1 << BITS[self.family] - self.length

    @property
    def last(self) -> int:
        """The highest address."""
        return self.first + self.size - 1

    def holds(self, other: Address | Prefix) -> bool:
        """Whether an address, or all of another prefix, lies inside."""
        if other.family is not self.family:
            return False
        if isinstance(other, Prefix):
            return self.length <= other.length and self.first <= other.first <= self.last
        return self.first <= other.number <= self.last

    def overlaps(self, other: Prefix) -> bool:
        """Whether an address lies in both; of two prefixes that overlap, one holds the other."""
        return self.holds(other) or other.holds(self)


def parse_prefix(text: str) -> Prefix:
    """Read a prefix such as 10.0.0.0/8, in canonical text with no bit set behind its length. Raises Invalid."""
    base, slash, suffix = text.partition("/")
    length = _LENGTHS.get(suffix)
    if not slash or length is None:
        raise Invalid("prefix", text[:80], "an address, a slash and a length are expected, as in 10.0.0.0/8")
    family, number = parse_address(base)
    if length > BITS[family]:
        raise Invalid("prefix", text[:80], f"the length is at most {BITS[family]}")
    host_bits = BITS[family] - length
    first = number >> host_bits << host_bits
    if first != number:
        raise Invalid("prefix", text[:80], f"it must be written as {Prefix(family, first, length)}")
    return Prefix(family, number, length)
