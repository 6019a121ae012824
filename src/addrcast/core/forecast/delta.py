"""The change against now that quantiles of the count foretell, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Delta:
    """Instances more (or, negative, fewer) than now, float32 `(N, H)`, and the interval they lie in.

    The chance of a change inside `[low, high]` is `confidence`.
    """

    expected: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    confidence: float


def delta_from(
    quantiles: NDArray[np.float32], levels: Sequence[float], *, now: NDArray[np.float32], confidence: float = 0.8
) -> Delta:
    """The delta of `quantiles` `(N, H, Q)` at `levels` against the counts `now` `(N,)`.

    The expected change is the median's; the interval leaves the same chance above and below. Levels between
    those given are interpolated.

    Raises: Invalid where the levels do not reach as far as the interval.
    """
    tail = (1 - confidence) / 2
    wanted = (0.5, tail, 1 - tail)
    slack = 1e-9
    if levels[0] > tail + slack or levels[-1] < 1 - tail - slack:
        rule = f"an interval of {confidence:g} needs levels from {tail:g} to {1 - tail:g}"
        raise Invalid("levels", list(levels), rule)
    change = quantiles - now[:, None, None]
    expected, low, high = (_at(change, levels, level) for level in wanted)
    return Delta(expected, low, high, confidence)


def _at(change: NDArray[np.float32], levels: Sequence[float], level: float) -> NDArray[np.float32]:
    above = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1)) if len(levels) > 1 else 0
    below = max(0, above - 1)
    span = levels[above] - levels[below]
    share = np.clip((level - levels[below]) / span, 0, 1) if span else 0.0
    return (change[..., below] + np.float32(share) * (change[..., above] - change[..., below])).astype(np.float32)
