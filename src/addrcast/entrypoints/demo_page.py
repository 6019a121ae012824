"""The demo's result as one HTML page: what became of the creates, and what lay idle over time."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from addrcast.core.domain.record import Outcome
from addrcast.entrypoints.replay_page import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.runtime.demo.play import DemoResult
    from addrcast.runtime.demo.tally import AccountTally

WIDTH, HEIGHT = 720, 160
CHART_STYLE = """
.used { fill: none; stroke: currentColor; stroke-width: 1.5; }
.idle { fill: #2a78d6; opacity: .45; }
"""


def demo_page(result: DemoResult) -> str:
    """The whole page; it loads nothing from elsewhere."""
    rows = "".join(_row(account, tally, result) for account, tally in result.tallies.items())
    heads = ["account", "tier", "creates", *(outcome.value for outcome in Outcome), "refused", "misses", "waste"]
    head = "".join(f"<th>{name}</th>" for name in [*heads, "tuned warm pool"])
    charts = "".join(f"<h3>{escape(account)}</h3>{_chart(tally)}" for account, tally in result.tallies.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>addrcast demo</title><style>{STYLE}{CHART_STYLE}</style></head><body>"
        "<h1>Three real fleets, one pool</h1>"
        "<p>Misses are creates that found no address held ready, waste is idle addresses for each bound one. The "
        "last column is what the best of three warm pools, tuned over its whole grid of settings with these very "
        "days in view, would have missed at the same waste.</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<h2>Checks at the end</h2><p>{escape(checks_line(result))}</p>"
        "<h2>Bound addresses, and the idle ones on top of them</h2>"
        f"<p>The last {result.steps:,} steps of five minutes.</p>{charts}</body></html>\n"
    )


def checks_line(result: DemoResult) -> str:
    """What the checks at the end found, in one line."""
    end = result.end
    wrong = ", ".join(end.wrong_tables)
    tables = f"wrong tables: {wrong}" if wrong else "every host's table equals the records"
    return f"{end.records:,} records at revision {end.revision:,}, {len(end.violations)} violations; {tables}"


def warm_pool_text(result: DemoResult, account: str) -> str:
    """The best warm pool beside an account, and its misses at the same waste."""
    best = result.warm_pools[account]
    return "none is so thrifty" if best is None else f"{best[1]:.1%} ({best[0]})"


def _row(account: str, tally: AccountTally, result: DemoResult) -> str:
    outcomes = [f"{tally.outcomes[outcome]:,}" for outcome in Outcome]
    cells = [account, tally.tier, f"{tally.creates:,}", *outcomes, str(tally.refused)]
    cells += [f"{tally.misses:.1%}", f"{tally.waste:.3f}", warm_pool_text(result, account)]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _chart(tally: AccountTally) -> str:
    bound = tally.bound
    whole = [held + idle for held, idle in zip(bound, tally.idle, strict=True)]
    top = max([1, *whole])
    area = _points(whole, top) + _points(bound, top)[::-1]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in area)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in _points(bound, top))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Bound and idle addresses over time">'
        f'<polygon class="idle" points="{corners}"/><polyline class="used" points="{line}"/>'
        f"</svg><p>0 to {top:,} addresses</p>"
    )


def _points(values: Sequence[int], top: int) -> list[tuple[float, float]]:
    step = WIDTH / max(len(values) - 1, 1)
    return [(place * step, HEIGHT * (1 - value / top)) for place, value in enumerate(values)]
