"""A level engine out of a forecaster of one series: in a pool of processes, capped and conformalised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from addrcast.adapters.forecasters.pool import Failure
from addrcast.core.domain.demand import CountHistory, fill_gaps
from addrcast.core.forecast.calibration import conformal_offsets
from addrcast.core.forecast.engine import CAP, bounded, check_request, season_steps
from addrcast.core.forecast.naive import last
from addrcast.core.forecast.rolling import past_origins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.adapters.forecasters.pool import SeriesPool

OnFailure = Callable[[str, str], None]
"""Called with an account for which there is no answer, and why."""


@dataclass(frozen=True, slots=True)
class Series:
    """One account's counts `(T,)` without gaps; `origins` ascend, each being how many are known."""

    counts: NDArray[np.float32]
    start_s: int
    step_s: int
    season: int
    horizon: int
    origins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Counts forecast from each origin `(O, H)`, and from now `(H,)`."""

    past: NDArray[np.float32]
    now: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PoolEngine:
    """A LevelEngine whose forecasts are the pool's, with split-conformal quantiles of the errors at past origins.

    An account has no answer (NaN) where its series failed, or where what was told from now is no number or beyond
    the cap. A count that never changed goes on. `last` serves where no past origin is.
    """

    pool: SeriesPool
    origins_max: int
    columns_max: int
    on_failure: OnFailure | None = None

    def __call__(self, history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
        """The quantiles. Raises Unavailable where workers do not start."""
        check_request(history, horizon, levels)
        counts = fill_gaps(history).counts
        skipped = max(0, counts.shape[1] - self.columns_max - horizon)
        recent = counts[:, skipped:]
        season = season_steps(history.step_s)
        origins = tuple(past_origins(recent.shape[1], horizon, season=season)[-self.origins_max :])
        if not origins:
            return last(history, horizon, levels)
        moving = np.flatnonzero(np.ptp(recent, axis=1) > 0)
        start_s = history.start_s + skipped * history.step_s
        tasks = [Series(recent[row], start_s, history.step_s, season, horizon, origins) for row in moving]
        came = np.stack([recent[:, origin : origin + horizon] for origin in origins], axis=1)
        now, past = np.repeat(counts[:, -1:], horizon, axis=1), came.copy()
        absent = np.zeros(len(counts), bool)
        for row, answer in zip(moving, self.pool.answers(tasks), strict=True):
            reason = _unusable(answer, highest=float(counts[row].max()))
            if reason is None:
                now[row], past[row] = answer.now, answer.past
            else:
                absent[row] = True
                if self.on_failure is not None:
                    self.on_failure(history.accounts[row], reason)
        quantiles = bounded(now[..., None] + conformal_offsets(came - past, levels), counts)
        quantiles[absent] = np.nan
        return quantiles


def _unusable(answer: Any, *, highest: float) -> str | None:
    if isinstance(answer, Failure):
        return answer.reason
    if not (np.isfinite(answer.now).all() and np.isfinite(answer.past).all()):
        return "no number"
    if answer.now.max() > CAP * highest:
        return f"beyond {CAP:g} times the largest count"
    return None
