"""Prophet of one series: trend with changes, day, week and year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.adapters.forecasters.pool_engine import Series, Told

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 1


@dataclass(frozen=True, slots=True)
class Prophet:
    """Fitted anew at each origin and for now, with Prophet's own settings; its intervals are not used."""

    module: str = "prophet"

    def __call__(self, series: Series) -> Told:
        """What the model tells from each origin and from now."""
        told = [_told(series, end) for end in (*series.origins, len(series.counts))]
        return Told(past=np.stack(told[:-1]), now=told[-1])


def _told(series: Series, end: int) -> NDArray[np.float32]:
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - loaded by workers alone
    from prophet import Prophet as Model  # noqa: PLC0415

    times_s = series.start_s + series.step_s * np.arange(end + series.horizon)
    times = pd.to_datetime(times_s, unit="s")
    model = Model(uncertainty_samples=0)
    model.fit(pd.DataFrame({"ds": times[:end], "y": series.counts[:end].astype(np.float64)}), seed=_SEED)
    ahead = model.predict(pd.DataFrame({"ds": times[end:]}))["yhat"].to_numpy()
    told: NDArray[np.float32] = np.maximum(ahead, 0).astype(np.float32)
    return told
