"""The comparison as lines of text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.simulation.replay.envelope import WASTE_LEVELS

if TYPE_CHECKING:
    from addrcast.simulation.replay.run import ReplayResult

OURS = "addrcast"
SHARE = "ours / best *"
CELL = 8


def table_lines(result: ReplayResult) -> list[str]:
    """Misses of every policy at each waste level, `*` on the best reactive one, and ours as a share of it."""
    best = {waste: result.best_reactive(waste) for waste in WASTE_LEVELS}
    name_width = max(len(SHARE), *(len(policy.name) for policy in result.policies))
    header = "".join(f"{waste:>{CELL}}" for waste in WASTE_LEVELS)
    lines = [
        f"{result.accounts:,} accounts, {result.creates:,} creates; share of creates that found no address ready,",
        "by how many addresses lie idle for each one bound (* best reactive policy)",
        f"{'waste':<{name_width}}{header}",
    ]
    ours: dict[float, float] = {}
    for policy in result.policies:
        cells = []
        for waste in WASTE_LEVELS:
            misses, champion = policy.misses_at(waste), best[waste]
            mark = "*" if champion is not None and champion[0] == policy.name else " "
            cells.append("-".rjust(CELL - 1) + " " if misses is None else f"{misses:>{CELL - 1}.3f}{mark}")
            if policy.name == OURS and misses is not None:
                ours[waste] = misses
        lines.append(f"{policy.name:<{name_width}}{''.join(cells)}".rstrip())
    if ours:
        shares = (_share(ours.get(waste), champion) for waste, champion in best.items())
        lines.append(f"{SHARE:<{name_width}}{''.join(shares)}".rstrip())
    return lines


def _share(ours: float | None, best: tuple[str, float] | None) -> str:
    if ours is None or best is None or best[1] == 0:
        return "-".rjust(CELL - 1) + " "
    return f"{ours / best[1]:>{CELL - 1}.2f} "
