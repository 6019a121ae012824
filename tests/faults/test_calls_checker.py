"""The checker of calls finds lost writes, doubles, stale answers and what does not keep to real time."""

from __future__ import annotations

from typing import Any

import pytest
from tests.faults.checker.calls import CAUSE, LOST, ORDER, REFUSED, STALE, TWICE, WRONG, Calls, Versions
from tests.faults.history import Operation, PlacedAt, Seen

from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import instance_key, record_key
from addrcast.core.domain.record import AddressState, InstanceEntry, InstanceState, Outcome, Record
from addrcast.core.domain.transaction import Change, Event

ACCOUNT, INSTANCE, LOGICAL, PHYSICAL, HOST = "gold", "i1", "10.0.0.1", "192.0.2.1", "h1"
PLACED = (PlacedAt(LOGICAL, PHYSICAL, HOST),)


def bound(revision: int, request: str, *, attempt: int = 1, logical: str = LOGICAL) -> Change:
    entry = InstanceEntry(
        state=InstanceState.BOUND,
        attempt=attempt,
        since_ms=1,
        addresses=(logical,),
        outcomes=(Outcome.DYNAMIC,),
        request=request,
    )
    record = Record(
        state=AddressState.BOUND,
        physical=PHYSICAL,
        host=HOST,
        pool="own",
        since_ms=1,
        instance=INSTANCE,
        attempt=attempt,
        request=request,
    )
    return Change(
        revision,
        (
            Event(instance_key(ACCOUNT, INSTANCE), encode(entry), 0, revision),
            Event(record_key(ACCOUNT, logical), encode(record), 0, revision),
        ),
    )


def gone(revision: int, request: str, *, attempt: int = 1) -> Change:
    entry = InstanceEntry(state=InstanceState.TOMBSTONE, attempt=attempt, since_ms=1, request=request)
    return Change(revision, (Event(instance_key(ACCOUNT, INSTANCE), encode(entry), 0, revision),))


def ended(revision: int) -> Change:
    return Change(revision, (Event(instance_key(ACCOUNT, INSTANCE), None, 0, revision),))


def call(kind: str, request: str, begun: int, until: int, **told: Any) -> Operation:
    fields: dict[str, Any] = {"attempt": 1, "got_attempt": 1, **told}
    return Operation(
        process="a",
        request=request,
        call=kind,
        account=ACCOUNT,
        instance=INSTANCE,
        begun_ns=begun,
        ended_ns=until,
        **fields,
    )


def created(request: str, begun: int, until: int, revision: int, **told: Any) -> Operation:
    fields: dict[str, Any] = {"is_change": True, "addresses": PLACED, **told}
    return call("create", request, begun, until, revision=revision, **fields)


def deleted(request: str, begun: int, until: int, revision: int, **told: Any) -> Operation:
    return call("delete", request, begun, until, revision=revision, **{"is_change": True, **told})


def rules_of(operations: list[Operation], changes: list[Change], receipts: list[Seen] | None = None) -> set[str]:
    return {each.rule for each in Calls(operations, Versions(changes), receipts or []).check()}


LIFE = [bound(5, "c1"), gone(7, "d1")]
CALLS = [created("c1", 10, 20, 5), deleted("d1", 30, 40, 7)]


def test_a_create_and_a_delete_are_sound() -> None:
    assert rules_of(CALLS, LIFE) == set()


def test_an_acknowledged_create_that_is_not_there_is_found() -> None:
    assert LOST in rules_of(CALLS[:1], [])


def test_an_acknowledged_delete_that_is_not_there_is_found() -> None:
    assert LOST in rules_of(CALLS, LIFE[:1])


def test_a_call_that_is_carried_out_twice_is_found() -> None:
    assert TWICE in rules_of(CALLS, [*LIFE, bound(9, "c1", attempt=2)])


def test_a_call_of_unknown_outcome_may_have_happened_or_not_also_late() -> None:
    doubtful = created("c1", 10, 20, 0, outcome="OutcomeUnknown", addresses=(), is_change=False)
    assert rules_of([doubtful], []) == set()
    assert rules_of([doubtful], [bound(5, "c1")]) == set()
    other = created("c2", 30, 40, 3, attempt=1)
    assert rules_of([doubtful, other], [bound(3, "c2"), gone(4, "d1"), bound(5, "c1", attempt=1)]) >= {CAUSE}


def test_what_was_refused_and_happened_is_found() -> None:
    refused = created("c1", 10, 20, 0, outcome="Unavailable", addresses=(), is_change=False)
    assert rules_of([refused], [bound(5, "c1")]) == {REFUSED}


def test_an_answer_with_another_address_than_was_written_is_found() -> None:
    other = (PlacedAt("10.0.0.2", PHYSICAL, HOST),)
    assert rules_of([created("c1", 10, 20, 5, addresses=other)], LIFE[:1]) == {WRONG}


@pytest.mark.parametrize("placed", [PlacedAt(LOGICAL, "192.0.2.9", HOST), PlacedAt(LOGICAL, PHYSICAL, "h2")])
def test_an_answer_with_another_place_than_was_written_is_found(placed: PlacedAt) -> None:
    assert rules_of([created("c1", 10, 20, 5, addresses=(placed,))], LIFE[:1]) == {WRONG}


def test_an_answer_with_another_revision_than_was_written_is_found() -> None:
    assert rules_of([created("c1", 10, 20, 6)], LIFE[:1]) == {WRONG}


def test_a_write_that_lands_before_one_that_was_answered_is_found() -> None:
    late = [bound(5, "c1"), gone(4, "d1")]
    assert ORDER in rules_of(CALLS, sorted(late, key=lambda change: change.revision))


def test_writes_under_way_at_once_may_land_in_any_order() -> None:
    calls = [created("c2", 10, 50, 9, attempt=2, got_attempt=2), deleted("d1", 20, 40, 7)]
    assert rules_of([created("c1", 1, 5, 5), *calls], [*LIFE, bound(9, "c2", attempt=2)]) == set()


def repeat(begun: int, until: int) -> Operation:
    return created("c9", begun, until, 5, is_change=False)


def test_a_repeat_is_told_what_stands() -> None:
    assert rules_of([CALLS[0], repeat(25, 28), CALLS[1]], LIFE) == set()


def test_a_repeat_under_way_with_the_delete_may_be_told_either() -> None:
    assert rules_of([*CALLS, repeat(35, 60)], LIFE) == set()


def test_a_repeat_that_is_told_of_a_binding_whose_delete_was_answered_is_found() -> None:
    assert rules_of([*CALLS, repeat(50, 60)], LIFE) == {STALE}


def test_a_repeat_that_is_told_of_a_binding_before_it_is_asked_for_is_found() -> None:
    assert rules_of([repeat(1, 5), *CALLS], LIFE) == {STALE}


def test_a_delete_that_finds_nothing_though_a_create_was_answered_is_found() -> None:
    nothing = deleted("d9", 25, 28, 0, attempt=None, is_change=False)
    assert rules_of([CALLS[0], nothing], LIFE[:1]) == {STALE}
    assert rules_of([CALLS[0], nothing, CALLS[1]], LIFE) == {STALE}
    assert rules_of([*CALLS, deleted("d9", 50, 60, 7, attempt=None, is_change=False)], LIFE) == set()


def test_a_delete_of_an_attempt_that_is_over_does_nothing() -> None:
    changes = [*LIFE, bound(9, "c2", attempt=2)]
    calls = [*CALLS, created("c2", 50, 60, 9, attempt=2, got_attempt=2)]
    assert rules_of([*calls, deleted("d9", 70, 80, 9, attempt=1, is_change=False)], changes) == set()


def test_a_delete_of_whatever_is_bound_means_what_was_bound_when_it_came() -> None:
    changes = [LIFE[0], bound(7, "c2", attempt=2)]
    calls = [CALLS[0], created("c2", 30, 60, 7, attempt=2, got_attempt=2)]
    nothing = deleted("d9", 25, 70, 7, attempt=None, got_attempt=2, is_change=False)
    assert rules_of([*calls, nothing], changes) == set()
    late = deleted("d9", 65, 70, 7, attempt=None, got_attempt=2, is_change=False)
    assert rules_of([*calls, late], changes) == {STALE}


def test_a_delete_in_doubt_that_had_happened_may_find_nothing_more_to_do() -> None:
    changes = [*LIFE, bound(9, "c2", attempt=2)]
    doubtful = deleted("d1", 30, 70, 9, is_change=False, got_attempt=2)
    calls = [CALLS[0], doubtful, created("c2", 50, 60, 9, attempt=2, got_attempt=2)]
    assert rules_of(calls, changes) == set()


def read(begun: int, until: int, revision: int, how: str, **told: Any) -> Operation:
    return call("read", "r1", begun, until, attempt=None, revision=revision, how=how, **told)


def test_a_read_of_what_stands_is_sound() -> None:
    assert rules_of([*CALLS, read(50, 60, 8, "tombstone")], LIFE) == set()


def test_a_stale_read_is_found_by_what_was_answered_before() -> None:
    stale = read(50, 60, 6, "bound", addresses=(PlacedAt(LOGICAL, "", ""),))
    assert rules_of([*CALLS, stale], LIFE) == {STALE}


def test_a_stale_read_is_found_by_what_a_watcher_was_told_before() -> None:
    stale = read(22, 28, 5, "bound", addresses=(PlacedAt(LOGICAL, "", ""),))
    assert rules_of([*CALLS, stale], LIFE) == set()
    assert rules_of([*CALLS, stale], LIFE, [Seen(at_ns=21, revision=7)]) == {STALE}


def test_a_read_of_what_was_not_there_is_found() -> None:
    assert rules_of([*CALLS, read(50, 60, 8, "bound")], LIFE) == {STALE}


def test_a_refusal_for_a_later_attempt_that_never_was_is_found() -> None:
    refused = created("c9", 50, 60, 0, outcome="Stale", addresses=(), is_change=False, attempt=3)
    assert rules_of([*CALLS, refused], LIFE) == {STALE}
    true = created("c9", 50, 60, 0, outcome="Stale", addresses=(), is_change=False, attempt=1)
    assert rules_of([*CALLS, true], LIFE) == set()


def test_a_change_that_nobody_asked_for_is_found() -> None:
    assert rules_of([], [bound(5, "c1")]) == {CAUSE}


def test_a_binding_that_ends_without_a_delete_is_found() -> None:
    assert rules_of(CALLS[:1], [bound(5, "c1"), ended(6)]) == {CAUSE}
    assert rules_of(CALLS, [*LIFE, ended(8)]) == set()


def test_a_delete_that_takes_a_later_attempt_is_found() -> None:
    changes = [bound(5, "c1", attempt=2), gone(7, "d1", attempt=1)]
    assert CAUSE in rules_of([created("c1", 10, 20, 5, attempt=2, got_attempt=2), CALLS[1]], changes)


def test_an_attempt_that_comes_back_after_its_delete_is_found() -> None:
    assert CAUSE in rules_of([*CALLS, created("c2", 50, 60, 9)], [*LIFE, bound(9, "c2", attempt=1)])
