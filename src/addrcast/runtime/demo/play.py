"""The whole demo as one call: history, fit, services, game, checks, and what warm pools would have done."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.demand import History, ReadReport
from addrcast.runtime.demo.game import EndState, Game, Progress
from addrcast.runtime.demo.history import common_counts, fitted_planner
from addrcast.runtime.demo.site import open_site
from addrcast.runtime.demo.tally import AccountTally, warm_pool_misses

if TYPE_CHECKING:
    from pathlib import Path

    from addrcast.core.domain.demand import CountHistory
    from addrcast.ports.forecaster import NeedFitter

SEED = 1
PLAYED_STEPS = 576
"""Two days of 5 minutes."""
_START_UP_MS = 600_000


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came of it: figures by account, the best warm pool beside each, the checks at the end."""

    tallies: dict[str, AccountTally]
    warm_pools: dict[str, tuple[str, float] | None]
    counts: CountHistory
    first: int
    end: EndState


def play_demo(
    directory: Path, on_progress: Progress, *, fit: NeedFitter, played_steps: int = PLAYED_STEPS
) -> DemoResult:
    """Fit on all but the last `played_steps`, then play those.

    `directory` is emptied first and holds the store afterwards. Raises Invalid.
    """
    counts = common_counts()
    first = counts.steps - 1 - played_steps
    planner = fitted_planner(counts, first, fit=fit, seed=SEED)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)

    async def run() -> tuple[dict[str, AccountTally], EndState]:
        now_ms = (counts.start_s + first * counts.step_s) * 1_000 - _START_UP_MS
        async with open_site(directory, planner, now_ms=now_ms) as site:
            game = Game(site, counts, planner)
            await game.adopt(first)
            await game.play(first, on_progress)
            return game.tallies, await game.rest()

    tallies, end = asyncio.run(run())
    report = ReadReport(
        "fleets", counts.counts.size, len(counts.accounts), counts.start_s, counts.step_s, counts.steps
    )
    history = History(counts=counts, events=None, metrics=None, report=report)
    fraction = first / (counts.steps - 1)
    warm_pools = {
        account: warm_pool_misses(history, account, from_fraction=fraction, waste=tally.waste)
        for account, tally in tallies.items()
    }
    return DemoResult(tallies, warm_pools, counts, first, end)
