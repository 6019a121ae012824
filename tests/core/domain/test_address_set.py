"""Sets of addresses: what they cost, and their edges."""

from __future__ import annotations

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.address_set import AddressSet


def set_of(*intervals: tuple[int, int]) -> AddressSet:
    made = AddressSet()
    for first, last in intervals:
        made.add_range(first, last)
    return made


def test_an_ipv6_subnet_is_one_interval_with_more_members_than_len_could_hold() -> None:
    prefix = parse_prefix("2001:db8::/64")
    subnet = set_of((prefix.first, prefix.last))
    assert subnet.size == 2**64
    assert list(subnet.intervals()) == [(prefix.first, prefix.last)]
    assert prefix.last in subnet
    assert prefix.last + 1 not in subnet


def test_a_slash_8_can_be_used_up_from_its_start_and_given_back() -> None:
    prefix = parse_prefix("10.0.0.0/8")
    free = set_of((prefix.first, prefix.last))
    for number in range(prefix.first, prefix.first + 5000):
        assert free.at_least(0) == number
        free.discard(number)
    assert free.size == prefix.size - 5000
    for number in range(prefix.first, prefix.first + 5000):
        free.add(number)
    assert free == set_of((prefix.first, prefix.last))


def test_a_set_equals_another_whatever_the_way_it_came_about() -> None:
    whole = set_of((0, 4095))
    pieces = set_of((1024, 2047), (0, 1023), (2049, 4095))
    assert pieces != whole
    pieces.add(2048)
    assert pieces == whole
    assert whole != 4096


def test_a_copy_goes_its_own_way() -> None:
    first = set_of((0, 5000))
    second = first.copy()
    second.discard(2000)
    first.add(9000)
    assert (first.size, second.size) == (5002, 5000)
    assert 2000 in first
    assert 9000 not in second


def test_adding_twice_and_discarding_what_is_not_there_change_nothing() -> None:
    some = set_of((10, 20))
    some.add(15)
    some.discard(30)
    assert list(some) == list(range(10, 21))
    assert some.size == 11


def test_neighbours_are_found_across_chunks_and_behind_gaps() -> None:
    some = set_of((0, 2), (1020, 1030), (5000, 9000))
    assert some.run_of(3) == 0
    assert some.run_of(4) == 1020
    assert some.run_of(12) == 5000
    assert some.run_of(4, number=1025) == 1025
    assert some.run_of(4, number=1028) == 5000
    assert some.run_of(4002) is None


def test_absent_numbers_are_found_behind_runs_and_bitmaps() -> None:
    some = set_of((0, 4100))
    assert some.absent_at_least(7) == 4101
    assert some.absent_at_least(4200) == 4200
    assert AddressSet().absent_at_least(3) == 3
