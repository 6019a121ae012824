"""Where the pooled model does not serve: accounts that a reactive rule serves better, and the far tail.

Reactive rules compete with the model for each account and level, and win where they lost clearly less on the
last columns before the forecast is used. Above the model's last level, of which its sample says nothing, either the
account's own largest need or the fleet's rare ones go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.forecast.features import DAY_S, HOUR_S
from addrcast.core.forecast.scoring import pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = 0
"""The rule that is no rule: the pooled model serves."""
OWN_QUANTILE = 1
"""The first of the reactive rules; those after it hold the maximum of a window."""

TAIL_LEVELS = (0.9985, 0.9992, 0.9996, 0.9998, 0.9999, 0.99995, 0.99998, 0.99999)

_OWN_LEVELS = 5
_HOLD_STEPS = (2, 4, 6, 12)
_HOLD_HOURS = (24, 48, 96, 168, 336)
_STANDARD_ERRORS = 2.0
_NEEDS_MIN = 20
_BLOCKS_MIN = 4


class Tail(Enum):
    """Which rule serves above the model's last level."""

    OWN = "own"
    FLEET = "fleet"


def reactive_quantiles(
    counts: NDArray[np.float32], needs: NDArray[np.float32], levels: Sequence[float], *, step_s: int
) -> NDArray[np.float32]:
    """What each reactive rule would hold now, addresses, float32 `(R, N, Q)`; rule `r` is row `r - 1`.

    The first is the quantile of the account's own past needs, which is also the last value plus a quantile of its
    changes; the others hold the maximum of 2 steps to 14 days, whatever the level. `counts` and `needs` are the
    window `(N, W)` up to now.
    """
    width = needs.shape[1]
    ordered = np.sort(needs, axis=1)
    own = ordered[:, np.minimum((np.asarray(levels) * width).astype(np.int64), width - 1)]
    windows = (*_HOLD_STEPS, *(max(1, h * HOUR_S // step_s) for h in _HOLD_HOURS))
    held = [np.broadcast_to((counts[:, -k:].max(axis=1) - counts[:, -1])[:, None], own.shape) for k in windows]
    return np.stack([own, *held])


def choose_rules(
    needs: NDArray[np.float32],
    *,
    model: NDArray[np.float32],
    reactive: NDArray[np.float32],
    levels: Sequence[float],
    block: int,
    happened: NDArray[np.int64],
) -> NDArray[np.int8]:
    """The rule that serves each account at each level, int8 `(N, Q)`: MODEL, or a row of `reactive` plus one.

    `needs` `(N, C)` came at the checked columns, for which the model said `model` `(N, C, Q)` and the rules
    `reactive` `(R, N, C, Q)`. A rule replaces the model where its pinball loss is lower by two standard errors,
    taken over blocks of `block` columns since neighbours are alike; not where fewer than 20 needs `happened`
    `(N,)`, for on a quiet stretch holding nothing always looks best.
    """
    chosen = np.full((len(needs), len(levels)), MODEL, np.int8)
    blocks = needs.shape[1] // block
    if blocks < _BLOCKS_MIN:
        return chosen
    reference = pinball(needs, model, levels)
    best = np.zeros(chosen.shape, np.float32)
    best[happened < _NEEDS_MIN] = -np.inf
    for rule, held in enumerate(reactive, start=1):
        gain = (pinball(needs, held, levels) - reference)[:, -blocks * block :]
        by_block = gain.reshape(len(needs), blocks, block, -1).mean(axis=2)
        bound = by_block.mean(axis=1) + _STANDARD_ERRORS * by_block.std(axis=1) / np.sqrt(blocks)
        better = bound < best
        chosen[better] = rule
        best = np.where(better, bound, best)
    return chosen


def served(
    model: NDArray[np.float32], reactive: NDArray[np.float32], rules: NDArray[np.int8]
) -> NDArray[np.float32]:
    """Quantiles `(N, C, Q)` of the model, replaced by `reactive` `(R, N, C, Q)` where `rules` `(N, Q)` say so."""
    quantiles = model
    for rule, held in enumerate(reactive, start=1):
        quantiles = np.where((rules == rule)[:, None, :], held, quantiles)
    ascending: NDArray[np.float32] = np.maximum.accumulate(quantiles, axis=-1)
    return ascending


def day_columns(step_s: int, stride: int) -> int:
    """How many of every `stride`-th columns make a day, at least one."""
    return max(1, DAY_S // (step_s * stride))


def tail_quantiles(
    tail: Tail, top: NDArray[np.float32], own_largest: NDArray[np.float32], fleet: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Quantiles at TAIL_LEVELS, float32 `(..., Q)`, ascending from the last quantile below them, `top` `(...)`.

    `own_largest` `(...)` is each account's largest need in its window, `fleet` `(Q,)` the quantiles of all
    accounts' needs at TAIL_LEVELS; all in addresses.
    """
    if tail is Tail.FLEET:
        at_least: NDArray[np.float32] = np.maximum(top[..., None], fleet)
        return at_least
    # A quarter of the way at each level, and on past the largest need ever seen; the last levels have something
    # for those too that never needed any.
    share = np.arange(1, len(TAIL_LEVELS) + 1, dtype=np.float32) / 4
    onward = top[..., None] + share * np.maximum(own_largest - top, 0)[..., None]
    reserve = np.concatenate([np.zeros(_OWN_LEVELS, np.float32), fleet[: len(TAIL_LEVELS) - _OWN_LEVELS]])
    quantiles: NDArray[np.float32] = np.maximum(onward, reserve)
    return quantiles


def choose_tail(
    needs: NDArray[np.float32],
    *,
    top: NDArray[np.float32],
    own_largest: NDArray[np.float32],
    fleet: NDArray[np.float32],
) -> Tail:
    """The tail with the smaller pinball loss on what came: `needs`, `top` and `own_largest` are all `(N, C)`."""

    def loss(tail: Tail) -> float:
        return float(pinball(needs, tail_quantiles(tail, top, own_largest, fleet), TAIL_LEVELS).sum())

    return min(Tail, key=loss)
