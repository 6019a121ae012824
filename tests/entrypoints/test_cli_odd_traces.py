"""Traces in odd shapes: each gives a result or one clear line, and no forecast of them ends in a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.entrypoints.cli import COUNTS, EVENTS, HOUR_S, START_S, answer, run, write_counts, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def noise(steps: int) -> list[int]:
    return [int(value) for value in np.random.default_rng(1).integers(0, 9, steps)]


def series(*values: object, step_s: int = HOUR_S) -> list[tuple[str, int, object]]:
    return [("a", START_S + step * step_s, value) for step, value in enumerate(values)]


def after_a_gap(gap_s: int) -> list[tuple[str, int, object]]:
    late = [(account, time_s + gap_s, value) for account, time_s, value in series(*noise(40))]
    return [*series(*noise(40)), *late]


PLAYED: dict[str, Callable[[Path], Path]] = {
    "one account": lambda path: write_counts(path, {"a": noise(90)}),
    "thirty rows": lambda path: write_counts(path, {"a": noise(30)}),
    "a constant": lambda path: write_counts(path, {"a": [7] * 60, "b": [7] * 60}),
    "fractions": lambda path: write_counts(path, {"a": [1.5, 0.25, 3.0] * 20}),
    "the largest counts": lambda path: write_counts(path, {"a": [0, 2**24] * 30}),
    "one account that has no value": lambda path: write_csv(
        path, COUNTS, [*series(*noise(60)), *(("b", START_S + k * HOUR_S, "") for k in range(60))]
    ),
    "a third without a value": lambda path: write_csv(path, COUNTS, series(*["", 3, 5, "", 4, 9] * 10)),
    "a gap of ten days": lambda path: write_csv(path, COUNTS, after_a_gap(10 * 86_400)),
    "every row twice, backwards": lambda path: write_csv(path, COUNTS, (series(*noise(50)) * 2)[::-1]),
    "seconds": lambda path: write_csv(path, COUNTS, series(*noise(60), step_s=1)),
    "weeks": lambda path: write_csv(path, COUNTS, series(*noise(60), step_s=7 * 86_400)),
    "integer steps": lambda path: write_csv(path, COUNTS, [("a", k, k % 6) for k in range(60)]),
    "M4": lambda path: write_csv(path, ("account_id", "step", "value"), [("a", k, k % 6) for k in range(60)]),
    "no main step": lambda path: write_csv(
        path, COUNTS, [("a", START_S + k * k * 1_000, value) for k, value in enumerate(noise(20))]
    ),
    "bitbrains": lambda path: write_csv(
        path, ("account_id", "timestamp", "cpu_mhz"), [("a", START_S + k * HOUR_S, 50 * (k % 5)) for k in range(60)]
    ),
    "DLRM": lambda path: write_csv(
        path,
        ("instance_sn", "account_id", "creation_time", "deletion_time"),
        [(f"i{k}", f"s{k % 3}", k * 1_000, k * 1_000 + 9_000) for k in range(100)],
    ),
    "SWF": lambda path: write_csv(
        path,
        ("job", "user", "start", "end", "procs"),
        [(k, k % 3, k * 1_000, k * 1_000 + 9_000, 2 ** (k % 4)) for k in range(100)],
    ),
    "nobody is ever deleted": lambda path: write_csv(
        path, EVENTS, [("a", f"i{k}", START_S + k * HOUR_S, "") for k in range(60)]
    ),
    "nobody is ever created": lambda path: write_csv(
        path, EVENTS, [("a", f"i{k}", "", START_S + k * HOUR_S) for k in range(60)]
    ),
}

REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "all zeros": (lambda path: write_counts(path, {"a": [0] * 60}), "no instance lives in the scored part"),
    "nobody lives an instant": (
        lambda path: write_csv(
            path, EVENTS, [("a", f"i{k}", START_S + k * HOUR_S, START_S + k * HOUR_S) for k in range(30)]
        ),
        "no instance lives in the scored part",
    ),
    "NaN": (lambda path: write_csv(path, COUNTS, series(1, 2, "nan", *noise(30))), "line 4, column instances"),
    "nothing but gaps": (lambda path: write_csv(path, COUNTS, series(*[""] * 30)), "no row has a value"),
    "a negative count": (lambda path: write_csv(path, COUNTS, series(1, -2)), "line 3, column instances"),
    "a count past float32": (lambda path: write_csv(path, COUNTS, series(1, 2**24 + 1)), "at most 16,777,216"),
    "three rows": (lambda path: write_counts(path, {"a": [1, 2, 3]}), "give a longer history"),
    "one row": (lambda path: write_counts(path, {"a": [1]}), "give a longer history"),
    "a header alone": (lambda path: write_csv(path, COUNTS, []), "empty.csv"),
    "a gap of a century": (
        lambda path: write_csv(path, COUNTS, [*series(*noise(40)), ("a", START_S + 100 * 365 * 86_400, 3)]),
        "at most 200,000 times",
    ),
    "no times": (lambda path: write_csv(path, EVENTS, [("a", "i", "", "")]), "no times"),
    "no known layout": (lambda path: write_csv(path, ("x", "y"), [(1, 2)]), "no known layout"),
}


@pytest.mark.parametrize("shape", PLAYED)
def test_it_is_replayed(tmp_path: Path, shape: str) -> None:
    played = answer("replay", PLAYED[shape](tmp_path / "trace.csv"))
    assert played["accounts"] >= 1
    for policy in played["policies"]:
        for point in policy["points"]:
            assert all(point[name] is not None for name in ("misses", "waste", "calls_per_instance", "waiting_s"))


@pytest.mark.parametrize("shape", REFUSED)
def test_it_is_refused_in_one_line(tmp_path: Path, shape: str) -> None:
    write, message = REFUSED[shape]
    result = run("replay", write(tmp_path / "empty.csv"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("engine", ["linear", "seasonal", "last"])
@pytest.mark.parametrize("shape", [*PLAYED, "all zeros", "three rows", "one row"])
def test_it_is_forecast(tmp_path: Path, shape: str, engine: str) -> None:
    write = PLAYED.get(shape) or REFUSED[shape][0]
    forecast = answer("forecast", write(tmp_path / "trace.csv"), "--engine", engine, "--horizon", "30")
    for row in forecast["accounts"]:
        assert row["low"] <= row["delta"] <= row["high"]
        assert row["now"] + row["low"] >= -1e-3
