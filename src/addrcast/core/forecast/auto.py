"""The engine `auto`: other engines mixed for each account by the pinball loss that they had from past origins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory, fill_gaps
from addrcast.core.forecast.engine import LevelEngine, answered, bounded, check_request, season_steps
from addrcast.core.forecast.mixture import mixing_weights
from addrcast.core.forecast.naive import last
from addrcast.core.forecast.rolling import past_origins
from addrcast.core.forecast.scoring import pinball

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIGINS = 3
_JUDGED = (0.5, 0.8, 0.9, 0.95)
"""The levels by whose loss engines are judged, whichever are asked for."""

_SHARPNESS = 4.0


@dataclass(frozen=True, slots=True)
class Auto:
    """A LevelEngine out of others: `cheap` ones for every account, `costly` ones for `costly_accounts` of them.

    The bound is a number of accounts in each call, not a time: so the same history gets the same answer whatever
    else the machine does. The accounts whose best cheap engine was furthest off, in addresses, have them. An
    engine that did not answer for an account, at some origin or now, has no part in its mixture.
    """

    cheap: Mapping[str, LevelEngine]
    costly: Mapping[str, LevelEngine]
    costly_accounts: int = 0

    def __call__(self, history: CountHistory, horizon: int, levels: Sequence[float]) -> NDArray[np.float32]:
        """The mixture; `last` serves under two seasons of history."""
        check_request(history, horizon, levels)
        filled = fill_gaps(history)
        season = season_steps(history.step_s)
        ends = past_origins(history.steps, horizon, season=season)[-_ORIGINS:]
        if not ends:
            return last(history, horizon, levels)
        judged = [_judged(engine, filled, horizon, levels, ends=ends) for engine in self.cheap.values()]
        if self.costly and self.costly_accounts:
            worst = np.stack([loss for loss, _ in judged]).min(axis=0)
            rows = np.sort(np.argsort(-worst, kind="stable")[: self.costly_accounts])
            some = CountHistory(
                tuple(filled.accounts[row] for row in rows), filled.start_s, filled.step_s, filled.counts[rows]
            )
            found = (_judged(engine, some, horizon, levels, ends=ends) for engine in self.costly.values())
            judged += [_spread(one, rows, len(filled.accounts)) for one in found]
        return bounded(_mixed(judged), filled.counts)


def _judged(
    engine: LevelEngine, history: CountHistory, horizon: int, levels: Sequence[float], *, ends: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The loss `(N,)` from past origins, inf where there is no answer, and the quantiles `(N, H, Q)` from now."""
    now = engine(history, horizon, levels)
    loss = np.zeros(len(now), np.float32)
    for end in ends:
        known = CountHistory(history.accounts, history.start_s, history.step_s, history.counts[:, :end])
        told = engine(known, horizon, _JUDGED)
        loss += pinball(history.counts[:, end : end + horizon], told, _JUDGED).mean(axis=(1, 2)) / len(ends)
    loss[~answered(now) | ~np.isfinite(loss)] = np.inf
    return loss, now


def _spread(
    judged: tuple[NDArray[np.float32], NDArray[np.float32]], rows: NDArray[np.intp], accounts: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What was judged for some rows, for all accounts: no answer for the others."""
    loss = np.full(accounts, np.inf, np.float32)
    now = np.full((accounts, *judged[1].shape[1:]), np.nan, np.float32)
    loss[rows], now[rows] = judged
    return loss, now


def _mixed(judged: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Quantiles averaged with weights exp(-sharpness * relative loss)."""
    weights = mixing_weights(np.stack([loss for loss, _ in judged]), sharpness=_SHARPNESS)
    quantiles = np.stack([now for _, now in judged])
    mixed: NDArray[np.float32] = np.einsum("en,enhq->nhq", weights, np.nan_to_num(quantiles)).astype(np.float32)
    return mixed
