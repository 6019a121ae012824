"""Need curves: from quantiles of the need to the worth of the k-th idle address, and back.

Depth is the unit used here for a probability: `-ln P`. The need of an account at level `s` lies at depth `-ln(1 -
s)`; between the given levels, and past the highest, it is linear in the depth (an exponential tail with the last
slope), from 0 at depth 0. So one rule serves interpolation and tail, and both directions are exact inverses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Needs are whole numbers, quantiles are not: the k-th address is asked for when the quantile exceeds k - 1/2.
CONTINUITY = 0.5

_ROWS_AT_ONCE = 1 << 17
_COUNT_MAX = float(np.iinfo(np.int32).max)


def depth_of(level: float) -> float:
    """The depth `-ln(1 - level)` of a level in [0, 1)."""
    return float(-np.log1p(-level))


@dataclass(frozen=True, slots=True, eq=False)
class NeedCurves:
    """The need of N accounts over depth: `knots` float32 `(N, K)` at `depths` float64 `(K,)`, K >= 2.

    The first knot is need 0 at depth 0; knots never fall along a row, depths rise strictly.
    """

    depths: NDArray[np.float64]
    knots: NDArray[np.float32]

    def counts(self, depths: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.int32]:
        """How many units of account `rows[i]` lie at a depth below `depths[i]`, int32 `(M,)`."""
        counts = np.empty(len(rows), dtype=np.int32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            counts[part] = self._counts(depths[part], rows[part])
        return counts

    def unit_depths(self, rows: NDArray[np.intp], units: NDArray[np.int32]) -> NDArray[np.float64]:
        """The depth of unit `k = units[i] >= 1` of account `rows[i]`, `-ln P(need >= k)`, `(M,)`; inf for P = 0."""
        depths = np.empty(len(rows))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            depths[part] = self._unit_depths(rows[part], units[part])
        return depths

    def _counts(self, depths: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        segment = np.searchsorted(self.depths, depths, side="right") - 1
        segment = np.clip(segment, 0, len(self.depths) - 2)
        low, slope = self._segment(rows, segment)
        need = low + (depths - self.depths[segment]) * slope
        counts: NDArray[np.float64] = np.clip(np.ceil(need + CONTINUITY) - 1, 0, _COUNT_MAX)
        return counts

    def _unit_depths(self, rows: NDArray[np.intp], units: NDArray[np.int32]) -> NDArray[np.float64]:
        need = units - CONTINUITY
        knots = self.knots[rows]
        segment = np.minimum((knots <= need[:, None]).sum(axis=1) - 1, len(self.depths) - 2)
        low, slope = self._segment(rows, segment)
        depths = np.full(len(rows), np.inf)
        np.divide(need - low, slope, out=depths, where=slope > 0)
        depths += self.depths[segment]
        return depths

    def _segment(
        self, rows: NDArray[np.intp], segment: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = self.knots[rows, segment].astype(np.float64)
        high = self.knots[rows, segment + 1].astype(np.float64)
        return low, (high - low) / (self.depths[segment + 1] - self.depths[segment])


def curves_of(levels: NDArray[np.float64], need: NDArray[np.float32]) -> NeedCurves:
    """The curves through quantiles `need` `(N, Q)` at strictly rising `levels` `(Q,)` in (0, 1).

    Quantiles that cross are lifted to the highest below them; negative ones are 0. Raises Invalid for levels out of
    order and for needs that are not finite.
    """
    if need.ndim != 2 or need.shape[1] != len(levels) or not len(levels):
        raise Invalid("need", need.shape, f"shape (accounts, {max(len(levels), 1)}) is expected")
    edges = np.concatenate([[0.0], levels, [1.0]])
    if not np.all(np.diff(edges) > 0):
        raise Invalid("levels", levels.tolist(), "levels rise strictly between 0 and 1")
    if not np.isfinite(need).all():
        rows = int((~np.isfinite(need)).any(axis=1).sum())
        raise Invalid("need", f"{rows} accounts not finite", "let the reorder point serve them")
    knots = np.zeros((need.shape[0], len(levels) + 1), dtype=np.float32)
    np.maximum.accumulate(need, axis=1, out=knots[:, 1:])
    np.maximum(knots, 0, out=knots)
    return NeedCurves(-np.log1p(-edges[:-1]), knots)
