"""A host's view of an account: never backwards, never in a hurry to remove."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from addrcast.core.domain.errors import Stale
from addrcast.core.domain.record import AddressState, Record
from addrcast.core.propagation.mirror import AccountMirror, Snapshot


def record(physical: str, state: AddressState = AddressState.BOUND) -> Record:
    return Record(state=state, physical=physical, host="h1", pool="p", since_ms=0)


def kept(value: Record) -> str | None:
    return None if value.state is AddressState.COOLING else value.physical


def snapshot(revision: int, *, epoch: int = 1, unread: tuple[str, ...] = (), **records: str) -> Snapshot:
    return Snapshot(epoch, revision, [(logical, record(to)) for logical, to in records.items()], unread)


def mirror(*, removal_max: int = 100) -> AccountMirror[str]:
    found: AccountMirror[str] = AccountMirror(kept, removal_max=removal_max)
    found.begin(1)
    return found


def test_a_snapshot_then_changes() -> None:
    view = mirror()
    assert view.adopt(snapshot(5, b="2", a="1")) == ["a", "b"]
    assert view.is_synced
    assert view.change("a", record("9"), 6)
    assert view.change("b", None, 6)
    assert not view.change("c", None, 6)
    assert not view.change("a", record("9"), 7)
    assert view.change("a", record("9", AddressState.COOLING), 8)
    assert view.kept == {}


def test_an_older_change_has_no_effect() -> None:
    view = mirror()
    view.adopt(snapshot(5, a="1"))
    assert not view.change("a", record("0"), 5)
    view.change("a", record("2"), 7)
    view.advance(7)
    view.advance(6)
    assert not view.change("a", record("0"), 7)
    assert view.kept == {"a": "2"}


def test_an_older_snapshot_is_refused_in_the_same_epoch_and_taken_in_a_newer_one() -> None:
    view = mirror()
    view.adopt(snapshot(5, a="1"))
    view.advance(9)
    view.begin(1)
    with pytest.raises(Stale, match="older than what is known"):
        view.adopt(snapshot(8, a="0"))
    assert view.kept == {"a": "1"}
    assert not view.is_synced
    view.begin(2)
    assert view.adopt(snapshot(3, epoch=2, a="2")) == ["a"]
    with pytest.raises(Stale):
        view.adopt(snapshot(99, epoch=1, a="1"))


def test_changes_that_overtake_a_snapshot_are_laid_over_it() -> None:
    view = mirror()
    view.change("a", record("7"), 7)
    view.change("b", None, 8)
    view.change("c", record("6"), 5)
    view.advance(8)
    assert view.kept == {"a": "7", "c": "6"}
    view.adopt(snapshot(6, a="1", b="2", c="3"))
    assert view.kept == {"a": "7", "c": "3"}
    assert view.revision == 8


def test_what_the_host_starts_with_is_compared_by_value() -> None:
    view = mirror()
    assert view.adopt(snapshot(5, a="1", b="2"), present={"a": "1", "b": "9", "c": "3"}) == ["b", "c"]
    assert view.kept == {"a": "1", "b": "2"}


def test_many_entries_that_are_merely_absent_stay_until_a_second_snapshot_lacks_them() -> None:
    view = mirror(removal_max=1)
    view.adopt(snapshot(5, a="1", b="2", c="3", d="4"))
    view.begin(1)
    assert view.adopt(snapshot(6, a="1")) == []
    assert (view.doubted, view.is_synced, len(view.kept)) == (3, False, 4)
    view.change("b", record("9"), 7)
    view.advance(7)
    assert view.doubted == 2
    view.begin(1)
    assert view.adopt(snapshot(7, a="1", b="9")) == ["c", "d"]
    assert view.is_synced
    assert view.kept == {"a": "1", "b": "9"}


def test_many_entries_whose_records_say_that_they_cool_go_at_once() -> None:
    view = mirror(removal_max=0)
    view.adopt(snapshot(5, a="1", b="2"))
    view.begin(1)
    cooling = [(logical, record("1", AddressState.COOLING)) for logical in ("a", "b")]
    assert view.adopt(Snapshot(1, 6, cooling)) == ["a", "b"]
    assert view.is_synced


def test_a_record_that_cannot_be_read_is_not_taken_for_absent() -> None:
    view = mirror()
    view.adopt(snapshot(5, a="1", b="2"))
    view.begin(1)
    assert view.adopt(snapshot(6, a="1", unread=("b",))) == []
    assert view.kept == {"a": "1", "b": "2"}


@given(
    history=strategies.lists(
        strategies.tuples(strategies.sampled_from("abcd"), strategies.integers(0, 5)), min_size=1, max_size=30
    ),
    begun=strategies.integers(0, 29),
    read=strategies.integers(0, 29),
    answered=strategies.integers(0, 29),
)
def test_wherever_a_snapshot_falls_among_the_changes_the_end_is_the_same(
    history: list[tuple[str, int]], begun: int, read: int, answered: int
) -> None:
    begun, read, answered = sorted(min(at, len(history)) for at in (begun, read, answered))
    view: AccountMirror[str] = AccountMirror(kept, removal_max=100)
    states: list[dict[str, str]] = [{}]
    for logical, to in history:
        states.append(
            {**states[-1], logical: str(to)} if to else {k: v for k, v in states[-1].items() if k != logical}
        )
    for revision in range(len(history) + 1):
        if revision == begun:
            view.begin(1)
        if revision > begun:
            logical, to = history[revision - 1]
            view.change(logical, record(str(to)) if to else None, revision)
            view.advance(revision)
        if revision == answered:
            view.adopt(Snapshot(1, read, [(logical, record(to)) for logical, to in states[read].items()]))
    assert view.kept == states[-1]
