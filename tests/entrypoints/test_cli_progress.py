"""The line that long work shows."""

from __future__ import annotations

import pytest

from addrcast.entrypoints.cli.progress import line_of, progress


def test_a_bar_fills_as_far_as_the_work_has_come() -> None:
    assert line_of("reading", 0, 8, elapsed_s=3.2) == "reading [........................] 0 of 8, 3 s"
    assert line_of("reading", 2, 8, elapsed_s=3.2) == "reading [######..................] 2 of 8, 3 s"
    assert line_of("reading", 8, 8, elapsed_s=9.9) == "reading [########################] 8 of 8, 10 s"


def test_before_anything_is_known_only_the_time_is_shown() -> None:
    assert line_of("fitting", 0, 0, elapsed_s=12.0) == "fitting: 12 s"


def test_brief_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_failure_of_the_work_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), progress("reading"):
        raise ZeroDivisionError


def test_work_that_lasts_is_shown_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", patience_s=0.0, pause_s=0.001) as advance:
        advance(1, 2)
        shown = ""
        while "1 of 2" not in shown:
            out, err = capsys.readouterr()
            assert out == ""
            shown += err
    assert "reading [############............] 1 of 2, 0 s\n" in shown
