"""Spreading over hosts: proportional, whole, within the room there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from addrcast.core.reservation.placement import HostRoom, spread


def test_reservations_follow_the_creates_by_largest_remainder() -> None:
    hosts = [HostRoom("a", 5, 99), HostRoom("b", 3, 99), HostRoom("c", 2, 99)]
    assert spread(10, hosts) == {"a": 5, "b": 3, "c": 2}
    assert spread(4, hosts) == {"a": 2, "b": 1, "c": 1}


def test_equal_remainders_go_by_host_id() -> None:
    assert spread(1, [HostRoom("b", 1, 9), HostRoom("a", 1, 9)]) == {"a": 1}


def test_a_full_host_passes_its_part_on() -> None:
    assert spread(10, [HostRoom("a", 8, 2), HostRoom("b", 1, 99), HostRoom("c", 1, 99)]) == {"a": 2, "b": 4, "c": 4}


def test_hosts_without_creates_take_only_what_the_others_cannot() -> None:
    hosts = [HostRoom("a", 5, 3), HostRoom("b", 0, 9), HostRoom("c", 0, 9)]
    assert spread(3, hosts) == {"a": 3}
    assert spread(6, hosts) == {"a": 3, "b": 2, "c": 1}


def test_preferred_hosts_are_filled_first() -> None:
    hosts = [HostRoom("a", 50, 99), HostRoom("b", 0, 2, is_preferred=True)]
    assert spread(5, hosts) == {"a": 3, "b": 2}


ROOMS = st.lists(
    st.builds(HostRoom, st.sampled_from("abcdefgh"), st.integers(0, 20), st.integers(0, 10), st.booleans()),
    unique_by=lambda room: room.host,
)


@given(st.integers(0, 60), ROOMS)
def test_the_parts_add_up_and_fit(total: int, rooms: list[HostRoom]) -> None:
    parts = spread(total, rooms)
    assert sum(parts.values()) == min(total, sum(room.room for room in rooms))
    assert all(0 < parts[room.host] <= room.room for room in rooms if room.host in parts)
    assert parts == spread(total, rooms[::-1])


@given(st.integers(0, 60), ROOMS)
def test_no_host_with_room_is_a_whole_address_short_of_its_proportion(total: int, rooms: list[HostRoom]) -> None:
    busy = [room._replace(is_preferred=False, creates=room.creates + 1, room=1000) for room in rooms]
    parts = spread(total, busy)
    whole = sum(room.creates for room in busy)
    assert all(abs(parts.get(room.host, 0) - total * room.creates / whole) < 1 for room in busy)
