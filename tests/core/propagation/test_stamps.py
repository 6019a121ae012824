"""Stamps that lie in the future."""

from __future__ import annotations

from addrcast.core.propagation.stamps import FutureStamps


def test_a_stamp_within_the_skew_is_taken_as_it_is() -> None:
    stamps = FutureStamps(skew_max_ms=100)
    assert stamps.capped_ms("r", 1, 1_100, 1_000) == 1_100
    assert len(stamps) == 0


def test_a_stamp_from_the_future_counts_from_when_it_was_first_seen_and_is_flagged() -> None:
    stamps = FutureStamps(skew_max_ms=100)
    assert stamps.capped_ms("r", 1, 9_000, 1_000) == 1_000
    assert stamps.capped_ms("r", 1, 9_000, 2_000) == 1_000
    assert "r" in stamps
    assert stamps.capped_ms("r", 2, 9_000, 3_000) == 3_000


def test_a_key_written_anew_with_a_sound_stamp_is_flagged_no_more() -> None:
    stamps = FutureStamps(skew_max_ms=100)
    stamps.capped_ms("r", 1, 9_000, 1_000)
    assert stamps.capped_ms("r", 2, 1_500, 2_000) == 1_500
    assert "r" not in stamps


def test_a_key_that_is_gone_takes_no_memory() -> None:
    stamps = FutureStamps(skew_max_ms=0)
    stamps.capped_ms("r", 1, 9_000, 1_000)
    stamps.forget("r")
    stamps.forget("r")
    assert len(stamps) == 0
