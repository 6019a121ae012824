"""Windows that slide over the columns of an account-major array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.simulation.trace import Trace

HOUR_S = 3600
TWO_WEEKS_S = 14 * 24 * HOUR_S


def columns_of(trace: Trace, duration_s: float) -> int:
    """How many columns span a duration, at least one."""
    return max(1, round(duration_s / trace.step_s))


def rolling_maximum(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The maximum of each column and the `width - 1` columns before it, as far as there are any.

    Doubling: the maximum over 2 s columns is that of two maxima over s columns, so a width costs its logarithm.
    """
    result, reach = values.copy(), 1
    while reach < min(width, values.shape[1]):
        shift = min(reach, width - reach)
        result[:, shift:] = np.maximum(result[:, shift:], result[:, :-shift])
        reach += shift
    return result


def rolling_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """The mean of each column and the `width - 1` columns before it, as far as there are any."""
    total = np.cumsum(values, axis=1, dtype=np.float64)
    result = total.copy()
    result[:, width:] -= total[:, :-width]
    seen = np.minimum(np.arange(1, values.shape[1] + 1), width)
    return result / seen


def past_windows(trace: Trace, values: NDArray[np.float32], duration_s: float) -> NDArray[np.float32]:
    """For each decision the values of the columns up to it that `duration_s` spans: a view `(N, decisions, W)`.

    Early in a short trace W is less, so that the first decision has a full window; the first `lead` columns,
    whose own window begins before the trace, are never part of one.
    """
    width = min(columns_of(trace, duration_s), trace.scored_from - trace.lead + 1)
    first = trace.scored_from - width + 1
    return np.lib.stride_tricks.sliding_window_view(values[:, first : trace.decided.stop], width, axis=1)
