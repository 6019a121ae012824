"""What is not in the kernel yet: batches, pauses, and up to which revision all is."""

from __future__ import annotations

from addrcast.core.dataplane.unapplied import Backoff, Unapplied

BACKOFF = Backoff(first_ms=100, last_ms=1_000)


def test_a_pause_doubles_with_each_failure_up_to_its_bound() -> None:
    assert [BACKOFF.pause_ms(failures) for failures in (1, 2, 3, 4, 5, 60)] == [100, 200, 400, 800, 1_000, 1_000]


def test_batches_are_bounded_and_come_in_the_order_asked() -> None:
    unapplied = Unapplied(BACKOFF)
    for revision, logical in enumerate(["c", "a", "b"], start=5):
        unapplied.mark(logical, revision)
    assert unapplied.take(2, 0) == ["c", "a"]
    unapplied.settle(set(), 0)
    assert unapplied.take(2, 0) == ["b"]
    unapplied.settle(set(), 0)
    assert not unapplied
    assert unapplied.floor() is None
    assert unapplied.deadline_ms(0) is None


def test_the_floor_is_the_earliest_revision_that_is_anywhere_but_in_the_kernel() -> None:
    unapplied = Unapplied(BACKOFF)
    unapplied.mark("a", 5)
    unapplied.mark("a", 9)
    assert unapplied.floor() == 5
    unapplied.take(1, 0)
    unapplied.mark("b", 7)
    assert unapplied.floor() == 5
    unapplied.settle({"a"}, 0)
    assert unapplied.floor() == 5
    unapplied.take(1, 0)
    unapplied.settle(set(), 0)
    assert unapplied.floor() == 5
    assert unapplied.take(1, 100) == ["a"]
    unapplied.settle(set(), 100)
    assert unapplied.floor() is None


def test_what_failed_is_tried_again_after_a_growing_pause_and_holds_nobody_up() -> None:
    unapplied = Unapplied(BACKOFF)
    unapplied.mark("a", 5)
    unapplied.take(9, 0)
    was_untried = unapplied.is_untried
    unapplied.settle({"a"}, 0)
    assert (was_untried, unapplied.is_untried) == (True, False)
    assert unapplied.deadline_ms(0) == 100
    assert unapplied.take(9, 99) == []
    unapplied.mark("b", 6)
    assert unapplied.deadline_ms(50) == 50
    assert unapplied.take(9, 100) == ["b", "a"]
    assert unapplied.deadline_ms(100) is None
    unapplied.settle({"a"}, 100)
    assert unapplied.deadline_ms(100) == 300


def test_a_new_value_is_tried_at_once_and_keeps_the_revision_of_the_old_one() -> None:
    unapplied = Unapplied(BACKOFF)
    unapplied.mark("a", 5)
    unapplied.take(9, 0)
    unapplied.mark("a", 8)
    unapplied.settle({"a"}, 0)
    assert unapplied.deadline_ms(0) == 0
    assert unapplied.floor() == 5
    unapplied.take(9, 0)
    unapplied.settle({"a"}, 0)
    unapplied.mark("a", 9)
    assert unapplied.take(9, 0) == ["a"]
    assert unapplied.floor() == 5


def test_what_is_due_and_does_not_fit_the_batch_waits_for_the_next() -> None:
    unapplied = Unapplied(BACKOFF)
    for logical in ("a", "b"):
        unapplied.mark(logical, 5)
    unapplied.take(9, 0)
    unapplied.settle({"a", "b"}, 0)
    assert unapplied.take(1, 100) == ["a"]
    unapplied.settle(set(), 100)
    assert unapplied.take(1, 100) == ["b"]
    unapplied.settle(set(), 100)
    assert not unapplied
