"""Addresses and prefixes: one number, one text."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.domain.address import Address, Family, Prefix, format_address, parse_address, parse_prefix
from addrcast.core.domain.errors import Invalid

IPV4_NUMBERS = st.integers(0, 2**32 - 1)
IPV6_NUMBERS = st.lists(st.sampled_from([0, 0, 1, 0xAB, 0xFFFF]), min_size=8, max_size=8).map(
    lambda groups: sum(group << 16 * at for at, group in enumerate(groups))
)


@given(IPV4_NUMBERS)
def test_ipv4_is_written_and_read_as_the_standard_library_does(number: int) -> None:
    text = format_address(Family.IPV4, number)
    assert text == str(IPv4Address(number))
    assert parse_address(text) == Address(Family.IPV4, number)


@given(IPV6_NUMBERS)
def test_ipv6_is_written_and_read_as_the_standard_library_does(number: int) -> None:
    text = format_address(Family.IPV6, number)
    if number >> 32 != 0xFFFF:  # the library's text of mapped addresses changed in Python 3.13
        assert text == str(IPv6Address(number))
    assert parse_address(text) == Address(Family.IPV6, number)


@pytest.mark.parametrize(
    "text",
    [
        "2001:db8::1",  # the examples of RFC 5952, sections 4 and 5
        "2001:db8::2:1",
        "2001:db8:0:1:1:1:1:1",
        "2001:0:0:1::1",
        "2001:db8::1:0:0:1",
        "::",
        "::1",
        "1::",
        "::ffff:192.0.2.1",
        "255.255.255.255",
        "0.0.0.1",
    ],
)
def test_canonical_text_is_kept(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8::1", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::0:1", "2001:db8::1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_another_text_of_an_address_is_refused_with_the_canonical_one(text: str, canonical: str) -> None:
    with pytest.raises(Invalid, match=canonical):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.256", "10.0.0.01", "10.0.0.1.2", "10.0.0.-1", " 10.0.0.1", "a.b.c.d", ":::", "1::2::3"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is expected"):
        parse_address(text)


def test_ipv4_sorts_before_ipv6() -> None:
    assert sorted([parse_address("::1"), parse_address("10.0.0.2"), parse_address("10.0.0.1")]) == [
        Address(Family.IPV4, 0x0A000001),
        Address(Family.IPV4, 0x0A000002),
        Address(Family.IPV6, 1),
    ]


@pytest.mark.parametrize("text", ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32"])
def test_an_ipv4_prefix_has_the_bounds_that_the_standard_library_gives_it(text: str) -> None:
    prefix, network = parse_prefix(text), IPv4Network(text)
    bounds = int(network.network_address), int(network.broadcast_address), network.num_addresses
    assert (prefix.first, prefix.last, prefix.size) == bounds
    assert str(prefix) == text


@pytest.mark.parametrize("text", ["2001:db8::/32", "::/0", "fd00::1/128"])
def test_an_ipv6_prefix_has_the_bounds_that_the_standard_library_gives_it(text: str) -> None:
    prefix, network = parse_prefix(text), IPv6Network(text)
    bounds = int(network.network_address), int(network.broadcast_address), network.num_addresses
    assert (prefix.first, prefix.last, prefix.size) == bounds
    assert str(prefix) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.0.0.0", "a slash and a length"),
        ("10.0.0.0/", "a slash and a length"),
        ("10.0.0.0/08", "a slash and a length"),
        ("10.0.0.0/129", "a slash and a length"),
        ("10.0.0.0/33", "at most 32"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("2001:DB8::/64", "2001:db8::"),
    ],
)
def test_a_prefix_that_is_not_canonical_is_refused(text: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        parse_prefix(text)


def test_a_prefix_holds_addresses_and_prefixes_of_its_family() -> None:
    outer, inner = parse_prefix("10.0.0.0/8"), parse_prefix("10.1.0.0/16")
    assert outer.holds(inner)
    assert outer.holds(outer)
    assert not inner.holds(outer)
    assert outer.holds(parse_address("10.255.255.255"))
    assert not outer.holds(parse_address("11.0.0.0"))
    assert not parse_prefix("::/0").holds(parse_address("10.0.0.0"))
    assert not parse_prefix("::/0").holds(inner)


@given(IPV4_NUMBERS, st.integers(0, 32), IPV4_NUMBERS, st.integers(0, 32))
def test_prefixes_overlap_when_they_share_an_address(first: int, length: int, second: int, other: int) -> None:
    one = Prefix(Family.IPV4, first >> 32 - length << 32 - length, length)
    two = Prefix(Family.IPV4, second >> 32 - other << 32 - other, other)
    assert one.overlaps(two) == (one.first <= two.last and two.first <= one.last)
