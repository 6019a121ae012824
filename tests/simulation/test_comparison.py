"""The lower envelope, the figures of `--json`, the terminal's table."""

from __future__ import annotations

import json

import pytest

from addrcast.simulation.replay.envelope import lower_envelope, misses_at
from addrcast.simulation.replay.run import PolicyResult, ReplayResult
from addrcast.simulation.replay.scoring import Point
from addrcast.simulation.replay.table import table_lines


def policy(name: str, *pairs: tuple[float, float], is_reactive: bool = True) -> PolicyResult:
    points = tuple(Point(f"s{number}", misses, waste, 0.5, 0.1) for number, (waste, misses) in enumerate(pairs))
    return PolicyResult(name, is_reactive, points)


def test_the_envelope_leaves_out_what_another_setting_beats() -> None:
    kept = policy("p", (0.5, 0.4), (0.1, 0.9), (0.6, 0.4), (0.3, 0.95), (0.1, 0.8), (0.9, 0.0)).envelope()
    assert [(point.waste, point.misses) for point in kept] == [(0.1, 0.8), (0.5, 0.4), (0.9, 0.0)]
    assert [point.setting for point in kept] == ["s4", "s0", "s5"]


@pytest.mark.parametrize(
    ("waste", "misses"), [(0.05, None), (0.1, 0.8), (0.3, 0.6), (0.5, 0.4), (0.8, 0.1), (0.9, 0.0), (7, 0.0)]
)
def test_misses_lie_on_the_lines_between_the_envelopes_points(waste: float, misses: float | None) -> None:
    envelope = policy("p", (0.5, 0.4), (0.1, 0.8), (0.9, 0.0)).envelope()
    assert misses_at(envelope, waste) == (None if misses is None else pytest.approx(misses))


def test_no_points_reach_no_waste() -> None:
    assert misses_at(lower_envelope([]), 1.0) is None


RESULT = ReplayResult(
    3,
    1234,
    (
        policy("addrcast", (0.1, 0.3), (1.0, 0.1), is_reactive=False),
        policy("static", (0.0, 1.0), (1.0, 0.2)),
        policy("preservation", (0.2, 0.5), (0.3, 0.41)),
        policy("oracle", (0.0, 0.0), is_reactive=False),
    ),
)


def test_the_best_reactive_policy_is_neither_ours_nor_the_oracle() -> None:
    assert RESULT.best_reactive(0.2) == ("preservation", 0.5)
    assert RESULT.best_reactive(0.3) == ("preservation", 0.41)
    assert RESULT.best_reactive(1.0) == ("static", 0.2)
    assert ReplayResult(1, 1, RESULT.policies[:1]).best_reactive(0.3) is None


def test_the_json_has_the_promised_shape() -> None:
    made = json.loads(json.dumps(RESULT.as_json()))
    assert list(made) == ["accounts", "creates", "policies", "misses_at_waste"]
    assert (made["accounts"], made["creates"]) == (3, 1234)
    assert made["policies"][2] == {
        "name": "preservation",
        "points": [
            {"setting": "s0", "misses": 0.5, "waste": 0.2, "calls_per_instance": 0.5, "waiting_s": 0.1},
            {"setting": "s1", "misses": 0.41, "waste": 0.3, "calls_per_instance": 0.5, "waiting_s": 0.1},
        ],
    }
    assert list(made["misses_at_waste"]) == ["0.02", "0.05", "0.1", "0.2", "0.3", "0.5", "0.75", "1.0"]
    assert made["misses_at_waste"]["0.1"] == {
        "addrcast": 0.3,
        "static": pytest.approx(0.92),
        "preservation": None,
        "oracle": 0.0,
    }


def test_the_table_marks_the_best_reactive_policy_and_sets_ours_against_it() -> None:
    lines = {line.split()[0]: line.split()[1:] for line in table_lines(RESULT)[2:-1]}
    assert lines["waste"] == ["0.02", "0.05", "0.1", "0.2", "0.3", "0.5", "0.75", "1.0"]
    assert lines["static"] == ["0.984*", "0.960*", "0.920*", "0.840", "0.760", "0.600", "0.400*", "0.200*"]
    assert lines["preservation"] == ["-", "-", "-", "0.500*", "0.410*", "0.410*", "0.410", "0.410"]
    assert lines["addrcast"][:3] == ["-", "-", "0.300"]
    last = table_lines(RESULT)[-1].split()
    assert last[:3] == ["ours", "/", "best"]
    assert last[4:] == ["-", "-", "0.33", "0.56", "0.62", "0.51", "0.39", "0.50"]


def test_without_ours_the_table_has_no_last_line_and_all_lines_fit_a_terminal() -> None:
    lines = table_lines(ReplayResult(1, 1, RESULT.policies[1:]))
    assert lines[-1].startswith("oracle")
    assert max(len(line) for line in table_lines(RESULT)) <= 80


def test_a_share_of_no_misses_is_not_given() -> None:
    perfect = ReplayResult(1, 1, (policy("addrcast", (0.0, 0.5)), policy("static", (0.0, 0.0))))
    assert table_lines(perfect)[-1].split()[4:] == ["-"] * 8
