"""The page of a replay's curves."""

from __future__ import annotations

import re

from tests.entrypoints.page import Page

from addrcast.entrypoints.replay_page import replay_page
from addrcast.simulation.replay.run import PolicyResult, ReplayResult
from addrcast.simulation.replay.scoring import Point


def policy(name: str, *pairs: tuple[float, float], is_reactive: bool = True) -> PolicyResult:
    points = tuple(Point(f"<{number}>", misses, waste, 0.5, 0.1) for number, (waste, misses) in enumerate(pairs))
    return PolicyResult(name, is_reactive, points)


RESULT = ReplayResult(
    3,
    1234,
    (
        policy("addrcast", (0.0, 0.5), (1.0, 0.0), is_reactive=False),
        policy("st<b>atic", (0.0, 1.0), (0.5, 0.5), (2.0, 0.2)),
        policy("hungry", (3.0, 0.1)),
        policy("slow", (0.5, 0.9)),
        policy("oracle", (0.0, 0.0), is_reactive=False),
    ),
)


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = Page(replay_page(RESULT, title="A replay"))
    assert (page.open, page.loads) == ([], [])


def test_names_settings_and_the_title_are_escaped() -> None:
    page = replay_page(RESULT, title="a <script> & more")
    assert "<script" not in page
    assert "a &lt;script&gt; &amp; more" in page
    assert "st<b>" not in page
    assert "<td>&lt;0&gt;</td>" in page


def test_every_policy_inside_the_plot_has_a_curve_and_ours_lies_on_top() -> None:
    page = replay_page(RESULT, title="A replay")
    plot = page[page.index("<svg") : page.index("</svg>")]
    curves = re.findall(r'<path class="curve (\w+)" d="([^"]+)"><title>([^<]+)</title>', plot)
    assert [(kind, name) for kind, _, name in curves] == [
        ("rest", "slow"),
        ("bound", "oracle"),
        ("lead0", "st&lt;b&gt;atic"),
        ("ours", "addrcast"),
    ]
    for _, path, _ in curves:
        points = [tuple(map(float, pair.split())) for pair in path[1:].split("L")]
        assert points == sorted(points)
        assert all(0 <= x <= 720 and 0 <= y <= 450 for x, y in points)


def test_the_best_reactive_figure_of_each_level_stands_in_bold() -> None:
    page = replay_page(RESULT, title="A replay")
    row = next(row for row in re.findall(r"<tr>.*?</tr>", page) if "<td>st&lt;b&gt;atic</td>" in row)
    assert row.count('class="best"') == 8
    assert "–" in next(row for row in re.findall(r"<tr>.*?</tr>", page) if "<td>hungry</td>" in row)


def test_settings_that_waste_far_beyond_the_plot_are_not_listed() -> None:
    page = replay_page(RESULT, title="A replay")
    assert "<summary>slow</summary>" in page
    assert "<summary>hungry</summary>" not in page
