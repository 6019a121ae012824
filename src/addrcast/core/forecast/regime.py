"""What serves beyond the reach of the pooled model: the account's own largest need, or the fleet's rare ones.

A pooled model is fitted up to a level that its sample can still say something about. Above it two reactive rules
go on, and the one that lost less on the last columns before it is used serves. On fleets of steps with rare
launches the fleet's rare needs win (a static reserve, the same for all); on fleets with a rhythm each account's own.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.scoring import pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAIL_LEVELS = (0.9985, 0.9992, 0.9996, 0.9998, 0.9999)


class Tail(Enum):
    """Which rule serves above the model's last level."""

    OWN = "own"
    FLEET = "fleet"


def tail_quantiles(
    tail: Tail, top: NDArray[np.float32], own_largest: NDArray[np.float32], fleet: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Quantiles at TAIL_LEVELS, float32 `(..., Q)`, ascending from the model's last quantile `top` `(...)`.

    `own_largest` `(...)` is each account's largest need in its window, `fleet` `(Q,)` the quantiles of all
    accounts' needs at TAIL_LEVELS; all in addresses.
    """
    if tail is Tail.FLEET:
        reserve: NDArray[np.float32] = np.maximum(top[..., None], fleet)
        return reserve
    # A quarter of the way at each level, then on past the largest need ever seen.
    share = np.arange(1, len(TAIL_LEVELS) + 1, dtype=np.float32) / 4
    return top[..., None] + share * np.maximum(own_largest - top, 0)[..., None]


def choose_tail(
    needs: NDArray[np.float32],
    *,
    top: NDArray[np.float32],
    own_largest: NDArray[np.float32],
    fleet: NDArray[np.float32],
) -> Tail:
    """The rule with the smaller pinball loss on what came: `needs`, `top` and `own_largest` are all `(N, C)`."""

    def loss(tail: Tail) -> float:
        return float(pinball(needs, tail_quantiles(tail, top, own_largest, fleet), TAIL_LEVELS).sum())

    return min(Tail, key=loss)
