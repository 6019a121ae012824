"""A replay's curves of misses over waste as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from addrcast.simulation.replay.envelope import WASTE_LEVELS
from addrcast.simulation.replay.table import OURS

if TYPE_CHECKING:
    from addrcast.simulation.replay.run import PolicyResult, ReplayResult
    from addrcast.simulation.replay.scoring import Point

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 450, 52, 30, 16, 48
WASTE_MAX = 1.0
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
LEADERS_MAX = 4
FROM_BELOW = ("rest", "bound", "lead", "ours")

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #c3c9d0; --rule: #e3e6ea; --ours: #d1242f;
  --lead0: #0969da; --lead1: #1a7f37; --lead2: #9a6700; --lead3: #8250df; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171a; --faint: #515a64; --rule: #2a3037;
  --ours: #ff7b72; --lead0: #79b8ff; --lead1: #56d364; --lead2: #e3b341; --lead3: #d2a8ff; } }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; line-height: 1.25; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: currentColor; font-size: 15px; }
.grid { stroke: var(--rule); }
.curve { fill: none; stroke: var(--faint); stroke-width: 1.3; }
.lead0 { stroke: var(--lead0); stroke-width: 2.2; } .lead1 { stroke: var(--lead1); stroke-width: 2.2; }
.lead2 { stroke: var(--lead2); stroke-width: 2.2; } .lead3 { stroke: var(--lead3); stroke-width: 2.2; }
.bound { stroke-dasharray: 5 4; }
.ours { stroke: var(--ours); stroke-width: 3.2; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; list-style: none; }
.legend svg { display: inline-block; width: 2rem; height: .8rem; margin-right: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.best { font-weight: 700; }
summary { cursor: pointer; padding: .3rem 0; }
"""


def replay_page(result: ReplayResult, *, title: str) -> str:
    """The whole page: curves, misses at equal waste, and the settings that no other of their policy beats."""
    classes = _classes(result)
    lead = (
        f"{result.accounts:,} accounts, {result.creates:,} creates. Down is fewer creates that found no address "
        "ready, left is fewer addresses lying idle; each curve joins a policy's best settings."
    )
    details = "".join(_settings(policy) for policy in result.policies)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{lead}</p>{_plot(result, classes)}{_legend(classes)}"
        f"<h2>Misses at equal waste</h2><p>The best reactive policy of each column stands in bold.</p>"
        f"{_levels(result)}<h2>Settings on the curves</h2>{details}</body></html>\n"
    )


def _classes(result: ReplayResult) -> dict[str, str]:
    """The style of each policy's curve: ours, the reactive ones that are best somewhere, bounds, the rest."""
    best = (result.best_reactive(waste) for waste in WASTE_LEVELS)
    leaders = list(dict.fromkeys(champion[0] for champion in best if champion is not None))[:LEADERS_MAX]
    classes: dict[str, str] = {}
    for policy in result.policies:
        if policy.name == OURS:
            classes[policy.name] = "ours"
        elif policy.name in leaders:
            classes[policy.name] = f"lead{leaders.index(policy.name)}"
        else:
            classes[policy.name] = "rest" if policy.is_reactive else "bound"
    return classes


def _x(waste: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * waste / WASTE_MAX


def _y(misses: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - misses)


def _plot(result: ReplayResult, classes: dict[str, str]) -> str:
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Misses over waste, a curve for each policy">'
    ]
    for tick in TICKS:
        x, y = _x(tick * WASTE_MAX), _y(tick)
        parts += [
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>',
            f'<text x="{LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{tick:g}</text>',
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{tick * WASTE_MAX:g}</text>',
        ]
    parts.append(
        f'<text x="{_x(WASTE_MAX / 2):.1f}" y="{HEIGHT - 6}" text-anchor="middle">idle per bound address</text>'
    )
    parts.append('<text x="4" y="16">misses</text>')
    for policy in sorted(result.policies, key=lambda policy: FROM_BELOW.index(classes[policy.name].rstrip("0123"))):
        path = _path(policy)
        if path:
            label = escape(policy.name)
            parts.append(f'<path class="curve {classes[policy.name]}" d="{path}"><title>{label}</title></path>')
    return "".join(parts) + "</svg>"


def _path(policy: PolicyResult) -> str:
    """The envelope as far as the plot reaches; at its right edge the curve is cut, or goes on level."""
    inside = [(point.waste, point.misses) for point in policy.envelope() if point.waste < WASTE_MAX]
    edge = policy.misses_at(WASTE_MAX)
    if edge is None:
        return ""
    return "M" + "L".join(f"{_x(waste):.1f} {_y(misses):.1f}" for waste, misses in [*inside, (WASTE_MAX, edge)])


def _legend(classes: dict[str, str]) -> str:
    named = {name: kind for name, kind in classes.items() if kind != "rest"}
    rest = [name for name, kind in classes.items() if kind == "rest"]
    items = [_legend_item(kind, name) for name, kind in named.items()]
    if rest:
        items.append(_legend_item("rest", ", ".join(rest)))
    return f'<ul class="legend">{"".join(items)}</ul>'


def _legend_item(kind: str, text: str) -> str:
    line = f'<svg viewBox="0 0 32 12" aria-hidden="true"><path class="curve {kind}" d="M0 6H32"/></svg>'
    return f"<li>{line}{escape(text)}</li>"


def _levels(result: ReplayResult) -> str:
    best = {waste: result.best_reactive(waste) for waste in WASTE_LEVELS}
    rows = []
    for policy in result.policies:
        cells = [f"<td>{escape(policy.name)}</td>"]
        for waste in WASTE_LEVELS:
            champion, misses = best[waste], policy.misses_at(waste)
            mark = ' class="best"' if champion is not None and champion[0] == policy.name else ""
            cells.append(f"<td{mark}>{'–' if misses is None else f'{misses:.3f}'}</td>")
        rows.append("".join(cells))
    return _table(["waste", *(f"{waste:g}" for waste in WASTE_LEVELS)], rows)


def _settings(policy: PolicyResult) -> str:
    rows = [_point_row(point) for point in policy.envelope() if point.waste <= 2 * WASTE_MAX]
    if not rows:
        return ""
    heads = ["setting", "waste", "misses", "calls per instance", "mean wait, s"]
    return f"<details><summary>{escape(policy.name)}</summary>{_table(heads, rows)}</details>"


def _point_row(point: Point) -> str:
    figures = (point.waste, point.misses, point.calls_per_instance, point.waiting_s)
    return f"<td>{escape(point.setting)}</td>" + "".join(f"<td>{figure:.3f}</td>" for figure in figures)


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
