"""Refuses bulk changes past a named limit, with the figure and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from addrcast.core.reservation.plan_input import PlanInput


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit that a plan breaks: `figure` of `base` addresses would change, and `share_max` of them may."""

    limit: str
    what: str
    figure: int
    base: int
    share_max: float

    def __str__(self) -> str:
        share = f"{self.figure / self.base:.0%} of {self.base:,}" if self.base else "nothing there before"
        return (
            f"{self.limit}: the plan {self.what} {self.figure:,} addresses at once, {share}; "
            f"at most {self.share_max:.0%} is allowed; force the plan or raise the limit"
        )


def refusals_of(
    given: PlanInput, delta: NDArray[np.int32], let_go: NDArray[np.int32], wanted: NDArray[np.int32]
) -> tuple[tuple[Refusal, ...], NDArray[np.bool_]]:
    """The limits that a plan breaks, and which accounts' changes are withheld for it, `(N,)`.

    `delta` `(N,)` are the changes of reservations, `let_go` `(N,)` the preserved addresses that go back, `wanted`
    `(N,)` the needs at the service level. Only the direction that breaks a limit is withheld: a suspicious shrink
    does not keep anyone from what they need.
    """
    refused = np.zeros(len(delta), dtype=bool)
    refusals = []
    for refusal, withheld in (*_shrink(given, delta, let_go, wanted), *_growth(given, delta)):
        refusals.append(refusal)
        refused |= withheld
    return tuple(refusals), refused


def _shrink(
    given: PlanInput, delta: NDArray[np.int32], let_go: NDArray[np.int32], wanted: NDArray[np.int32]
) -> Iterator[tuple[Refusal, NDArray[np.bool_]]]:
    """Judges the fall of what is wanted; what customers gave up themselves may go back in any number."""
    settings = given.settings
    back = np.maximum(-delta, 0) + let_go
    idle = np.minimum(given.reserved + given.preserved, given.wanted_before)
    figure = int(np.minimum(back, np.maximum(idle - wanted, 0)).sum(dtype=np.int64))
    base = int(idle.sum(dtype=np.int64))
    if figure > max(settings.small_change, settings.shrink_share_max * base):
        yield Refusal("shrink_share_max", "gives back", figure, base, settings.shrink_share_max), back > 0


def _growth(given: PlanInput, delta: NDArray[np.int32]) -> Iterator[tuple[Refusal, NDArray[np.bool_]]]:
    settings, pools = given.settings, given.pools
    # what was approved before and is still being reserved is no news
    news = np.maximum(given.reserved + delta - np.maximum(given.reserved, given.approved), 0)
    grown = given.draw_sums(news)
    allowed = np.maximum(settings.small_change, settings.grow_share_max * pools.total)
    for pool in np.flatnonzero(grown > allowed).tolist():
        drawing = (given.draws == pool).any(axis=1)
        what = f"takes from pool {pools.names[pool]}"
        refusal = Refusal("grow_share_max", what, int(grown[pool]), int(pools.total[pool]), settings.grow_share_max)
        yield refusal, drawing & (news > 0)
