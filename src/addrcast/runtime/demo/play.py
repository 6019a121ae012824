"""The whole demo as one call: history, fit, services, game, checks, and what warm pools would have done."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import Invalid
from addrcast.runtime.demo.game import EndState, Game, Progress
from addrcast.runtime.demo.history import common_counts, fitted_planner
from addrcast.runtime.demo.site import open_site
from addrcast.runtime.demo.tally import AccountTally, warm_pool_misses

if TYPE_CHECKING:
    from pathlib import Path

    from addrcast.ports.forecaster import NeedFitter

SEED = 1
PLAYED_STEPS = 576
"""Two days of 5 minutes."""
STORE_FILES = frozenset({"data.mdb", "lock.mdb", "bell"})
_START_UP_MS = 600_000


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came of `steps` steps: figures by account, the best warm pool beside each, the checks at the end."""

    tallies: dict[str, AccountTally]
    warm_pools: dict[str, tuple[str, float] | None]
    steps: int
    end: EndState


def play_demo(
    directory: Path, on_progress: Progress, *, fit: NeedFitter, played_steps: int = PLAYED_STEPS
) -> DemoResult:
    """Fit on all but the last `played_steps`, then play those.

    `directory` holds the store afterwards; one that is there is replaced. Raises Invalid where the directory holds
    anything else, and for more steps than leave a step to learn from.
    """
    counts = common_counts()
    first = counts.steps - 1 - played_steps
    if first < 1 or played_steps < 1:
        raise Invalid("steps", played_steps, f"1 to {counts.steps - 2} are expected: the rest is learnt from")
    _clear(directory)
    planner = fitted_planner(counts, first, fit=fit, seed=SEED)

    async def run() -> tuple[dict[str, AccountTally], EndState]:
        now_ms = (counts.start_s + first * counts.step_s) * 1_000 - _START_UP_MS
        async with open_site(directory, planner, now_ms=now_ms) as site:
            game = Game(site, counts, planner)
            await game.adopt(first)
            await game.play(first, on_progress)
            return game.tallies, await game.rest()

    tallies, end = asyncio.run(run())
    warm_pools = {
        account: warm_pool_misses(counts, account, first=first, waste=tally.waste)
        for account, tally in tallies.items()
    }
    return DemoResult(tallies, warm_pools, played_steps, end)


def _clear(directory: Path) -> None:
    """Remove the store of a demo before, and nothing that is not one."""
    if directory.exists():
        strange = sorted(path.name for path in directory.iterdir() if path.name not in STORE_FILES)
        if strange:
            raise Invalid(
                "store folder", str(directory), f"it holds {strange[0]}, which is no store's: name another"
            )
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
