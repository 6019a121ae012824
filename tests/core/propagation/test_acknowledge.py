"""What a host says that it has, and when."""

from __future__ import annotations

from addrcast.core.propagation.acknowledge import Acknowledgements


def test_revisions_nobody_waits_for_are_said_together() -> None:
    acknowledgements = Acknowledgements(after_ms=1_000)
    acknowledgements.applied("b", 5, 0, is_urgent=False)
    acknowledgements.applied("a", 6, 500, is_urgent=False)
    acknowledgements.applied("b", 7, 600, is_urgent=False)
    assert acknowledgements.deadline_ms() == 1_000
    assert acknowledgements.take(999) == []
    assert acknowledgements.take(1_000) == [("b", 7)]
    assert acknowledgements.take(1_500) == [("a", 6)]
    assert acknowledgements.deadline_ms() is None


def test_what_somebody_waits_for_is_said_at_once() -> None:
    acknowledgements = Acknowledgements(after_ms=1_000)
    acknowledgements.applied("a", 5, 0, is_urgent=False)
    acknowledgements.applied("a", 6, 10, is_urgent=True)
    assert acknowledgements.take(10) == [("a", 6)]


def test_nothing_is_said_twice() -> None:
    acknowledgements = Acknowledgements(after_ms=0)
    acknowledgements.written("a", 6)
    acknowledgements.written("a", 5)
    acknowledgements.applied("a", 6, 0, is_urgent=True)
    assert acknowledgements.take(0) == []


def test_what_was_not_taken_is_said_again_or_what_is_newer() -> None:
    acknowledgements = Acknowledgements(after_ms=0)
    acknowledgements.applied("a", 6, 0, is_urgent=True)
    assert acknowledgements.take(0) == [("a", 6)]
    acknowledgements.failed("a", 6, due_ms=200)
    acknowledgements.applied("a", 8, 100, is_urgent=False)
    assert acknowledgements.take(200) == [("a", 8)]


def test_a_write_without_an_answer_is_repeated_once_it_can_land_no_more() -> None:
    acknowledgements = Acknowledgements(after_ms=0)
    acknowledgements.reassure("a", due_ms=1_000)
    acknowledgements.reassure("b", due_ms=1_000)
    acknowledgements.written("a", 9)
    assert acknowledgements.deadline_ms() == 1_000
    assert acknowledgements.take(1_000) == [("a", 9)]
    assert acknowledgements.deadline_ms() is None


def test_a_new_incarnation_says_everything_anew() -> None:
    acknowledgements = Acknowledgements(after_ms=0)
    acknowledgements.written("a", 9)
    acknowledgements.applied("b", 9, 0, is_urgent=True)
    acknowledgements.void()
    assert acknowledgements.take(0) == []
    acknowledgements.applied("a", 9, 0, is_urgent=True)
    assert acknowledgements.take(0) == [("a", 9)]


def test_an_account_that_was_left_is_not_spoken_of() -> None:
    acknowledgements = Acknowledgements(after_ms=0)
    acknowledgements.applied("a", 9, 0, is_urgent=True)
    acknowledgements.forget("a")
    assert acknowledgements.take(0) == []
