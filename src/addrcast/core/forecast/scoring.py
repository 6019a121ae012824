"""How good quantiles were: pinball loss, coverage, scaled errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pinball(
    actual: NDArray[np.float32], quantiles: NDArray[np.float32], levels: Sequence[float]
) -> NDArray[np.float32]:
    """The pinball loss of each quantile, float32 `(..., Q)`, from `actual` `(...)` and `quantiles` `(..., Q)`.

    Source: Koenker and Bassett, Regression Quantiles, Econometrica 46 (1978). For reserved addresses it is the
    misses plus `1 - level` times the idle ones, up to a constant: the level is one less the price of holding.
    """
    over = actual[..., None] - quantiles
    level = np.asarray(levels, np.float32)
    return np.maximum(level * over, (level - 1) * over)
