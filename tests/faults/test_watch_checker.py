"""The checker of watches finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed
from tests.faults.checker.watch import CHAIN, MISSED, ONCE, SCANS, TRUE, check_chain, check_scans, check_watch, ours
from tests.faults.history import Put, Scanned, Seen

from addrcast.core.domain.transaction import Change, Event

A, B = "host.a", "host.b"
CHANGES = [
    Change(2, (Event(A, b"1", 2, 2),)),
    Change(3, (Event(A, b"2", 2, 3), Event(B, b"1", 3, 3))),
    Change(4, (Event(B, None, 0, 4),)),
    Change(5, (Event(B, b"2", 5, 5),)),
]


def put(event: Event) -> Put:
    value = None if event.value is None else event.value.decode()
    return Put(event.key, value, event.create_revision, event.mod_revision)


def told(change: Change) -> Seen:
    return Seen(at_ns=change.revision, revision=change.revision, events=tuple(map(put, change.events)))


def begins(revision: int) -> Seen:
    return Seen(at_ns=0, revision=revision, begins=True)


def gap(oldest: int) -> Seen:
    return Seen(at_ns=0, revision=oldest, gap=True)


GOOD = [begins(0), *map(told, CHANGES)]


def rules_of(lines: list[Seen], **how: Any) -> set[str]:
    return {violation.rule for violation in check_watch("w", lines, CHANGES, **how)}


def test_a_watch_that_tells_everything_is_sound() -> None:
    assert rules_of(GOOD) == set()


def test_a_watch_may_begin_again_where_it_was_and_tell_of_its_progress() -> None:
    progress = Seen(at_ns=0, revision=5)
    assert rules_of([*GOOD[:3], begins(3), *GOOD[3:], progress]) == set()


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_an_event_that_is_missed_is_found(missing: int) -> None:
    assert rules_of([*GOOD[:missing], *GOOD[missing + 1 :]]) == {MISSED}


def test_progress_past_an_event_that_was_not_told_is_found() -> None:
    assert rules_of([*GOOD[:3], Seen(at_ns=0, revision=4), *GOOD[4:]]) == {MISSED}


def test_an_event_that_is_told_twice_is_found() -> None:
    assert rules_of([*GOOD[:3], GOOD[2], *GOOD[3:]]) == {ONCE}


def test_events_out_of_order_are_found() -> None:
    assert ONCE in rules_of([GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]])


def test_half_a_revision_is_found() -> None:
    half = changed(GOOD[2], events=GOOD[2].events[:1])
    assert rules_of([*GOOD[:2], half, *GOOD[3:]]) == {TRUE}


def test_an_event_with_another_value_is_found() -> None:
    other = changed(GOOD[1], events=(Put(A, "9", 2, 2),))
    assert rules_of([GOOD[0], other, *GOOD[2:]]) == {TRUE}


def test_an_event_of_nothing_that_happened_is_found() -> None:
    ghost = Seen(at_ns=0, revision=6, events=(Put(A, "9", 2, 6),))
    assert rules_of([*GOOD, ghost]) == {TRUE}


def test_a_gap_by_compaction_is_allowed_only_to_watchers_that_may_be_behind() -> None:
    lines = [*GOOD[:2], gap(4), begins(4), GOOD[4]]
    assert rules_of(lines, is_whole=False) == set()
    assert rules_of(lines) == {MISSED}


def test_a_gap_that_no_compaction_explains_is_found() -> None:
    assert rules_of([*GOOD[:4], gap(3), begins(4), GOOD[4]], is_whole=False) == {MISSED}


def test_a_watch_that_begins_again_too_late_is_found() -> None:
    assert MISSED in rules_of([*GOOD[:2], begins(3), *GOOD[3:]])


def test_revisions_that_follow_each_other_are_sound() -> None:
    assert list(check_chain(CHANGES, is_whole=True)) == []


def test_a_revision_that_is_left_out_is_found() -> None:
    assert {each.rule for each in check_chain([CHANGES[0], *CHANGES[2:]], is_whole=True)} == {CHAIN}


def test_a_removal_that_is_left_out_is_found_by_what_was_created() -> None:
    assert {each.rule for each in check_chain([*CHANGES[:2], CHANGES[3]], is_whole=False)} == {CHAIN}


def test_a_scan_that_shows_its_revision_is_sound() -> None:
    scan = Scanned(at_ns=0, revision=4, items=((A, 2, 3, "2"),))
    assert list(check_scans([scan], CHANGES)) == []


@pytest.mark.parametrize(
    "items", [(), ((A, 2, 2, "1"),), ((A, 2, 3, "2"), (B, 3, 3, "1"))], ids=["lost", "stale", "not removed"]
)
def test_a_scan_of_another_state_is_found(items: tuple[tuple[str, int, int, str], ...]) -> None:
    scan = Scanned(at_ns=0, revision=4, items=items)
    assert {each.rule for each in check_scans([scan], CHANGES)} == {SCANS}


def test_keys_of_others_are_left_out() -> None:
    mixed = Change(6, (Event("ballast.1", b"-", 6, 6), Event(A, b"3", 2, 6)))
    assert ours([mixed, Change(7, (Event("ballast.1", b"-", 6, 7),))]) == [Change(6, (mixed.events[1],))]
