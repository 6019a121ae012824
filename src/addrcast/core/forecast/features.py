"""Scale-free features of the need: what an account's last two weeks say about its next window.

Everything here sees one window of history that ends *now*, so no feature can look ahead. The same function
serves one column of a million accounts and, column by column, the training of the pooled model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY_S = 86_400
WEEK_S = 7 * DAY_S
HOUR_S = 3_600

_STEP_WINDOWS = (2, 3, 6, 12)
_HOUR_WINDOWS = (8, 24, 48, 96, 168, 336)
_INCREASES = 6
_DAYS = 7
_AROUND = (1, 7)
_LEVELS = (0.5, 0.75, 0.9, 0.95, 0.98, 1.0)
_RECENT_LEVELS = (0.75, 0.9, 1.0)
_LEVEL_NARROWNESS = 3.0
_HOUR_NARROWNESS = 0.7
_HOURS_APART_MAX = 6.0
_SMALLEST_SCALE = 0.25
"""Addresses: an account that never changed has no deviation of its own to measure in."""

NEED_FEATURES: tuple[str, ...] = (
    "log_scale",
    "log_now",
    "log_mean",
    "variation",
    "day_sine",
    "day_cosine",
    "week_sine",
    "week_cosine",
    "need_share",
    "since_large_need",
    "since_need",
    "since_change",
    "alike_level_weight",
    "alike_both_weight",
    "alike_level_large_share",
    "now",
    *(f"increase_{k}" for k in range(_INCREASES)),
    "change_6_steps",
    "change_24_h",
    *(f"{what}_{k}_steps" for k in _STEP_WINDOWS for what in ("maximum", "mean", "minimum")),
    *(f"{what}_{h}_h" for h in _HOUR_WINDOWS for what in ("maximum", "mean", "minimum")),
    *(f"{what}_{k}_d_ago" for k in range(1, _DAYS + 1) for what in ("level", "need")),
    *(f"{what}_of_days_{how}" for what in ("level", "need") for how in ("mean", "maximum")),
    *(f"{what}_{k}_d_ago" for k in _AROUND for what in ("was", "need_around")),
    *(f"need_quantile_{q}" for q in _LEVELS),
    *(f"need_quantile_{q}_of_48_h" for q in _RECENT_LEVELS),
    *(f"need_maximum_{k}_steps" for k in (6, 12)),
    *(f"need_{how}_alike_{what}" for what in ("level", "hour", "both") for how in ("mean", "deviation")),
)


def window_steps(step_s: int) -> int:
    """How many columns of history the features look at: two weeks, and no fewer than 48 columns."""
    return max(48, 14 * DAY_S // step_s)


def lead_needs(counts: NDArray[np.float32], window_needs: NDArray[np.float32], lead: int) -> NDArray[np.float32]:
    """The need of every lead window, float32 `(N, T)`, at the column where the window *ended*.

    `counts` and `window_needs` are `(N, T)`; `window_needs[:, t]` is the largest net increase inside
    `(t - 1, t]` over the count at its start. Column `t` of the answer is the largest net increase inside
    `(t - lead, t]`; windows that began before the history are 0.
    """
    needs = np.zeros_like(counts)
    times = counts.shape[1] - lead
    if times <= 0:
        return needs
    start = counts[:, :times]
    for h in range(1, lead + 1):
        inside = counts[:, h - 1 : times + h - 1] - start + window_needs[:, h : times + h]
        np.maximum(needs[:, lead:], inside, out=needs[:, lead:])
    return needs


def need_scale(counts: NDArray[np.float32], needs: NDArray[np.float32], lead: int) -> NDArray[np.float32]:
    """The unit an account's labels and features are measured in, addresses, float32 `(N,)`.

    It is the deviation of its increases over a lead window, or of its needs where instances come and go under a
    count that stays.
    """
    changes = counts[:, lead:] - counts[:, :-lead]
    variance = np.mean(np.square(needs), axis=1)
    if changes.shape[1]:
        variance = np.maximum(np.mean(np.square(changes), axis=1), variance)
    scale: NDArray[np.float32] = np.maximum(np.sqrt(variance), np.float32(_SMALLEST_SCALE))
    return scale


def need_features(
    counts: NDArray[np.float32], needs: NDArray[np.float32], *, now_s: int, step_s: int, lead: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The features `(N, F)` named by NEED_FEATURES and the scale `(N,)`, both float32.

    `counts` is `(N, W)` without gaps and its last column is `now_s`; `needs` is `lead_needs` of the same columns.
    W may be anything from 1 to `window_steps`: what a short history cannot say is NaN. A model's answer times
    the scale is in addresses.
    """
    scale = need_scale(counts, needs, lead)
    now, mean = counts[:, -1], counts.mean(axis=1)
    steps = np.diff(counts, axis=1)
    likeness, alike = _alike(counts, needs, scale, step_s=step_s, lead=lead)
    plain = [
        np.log(scale),
        np.log1p(now),
        np.log1p(mean),
        scale / (mean + 1),
        *_clock(now_s, len(now)),
        *_since(steps, needs, scale),
        *likeness,
    ]
    relative = [
        now,
        *_increases(steps, step_s),
        *_windows(counts, step_s),
        *_days_ago(counts, needs, step_s=step_s, lead=lead),
        *_past_needs(needs, step_s),
        *alike,
    ]
    features = np.empty((len(now), len(NEED_FEATURES)), np.float32)
    for column, values in enumerate(plain):
        features[:, column] = values
    for column, values in enumerate(relative, start=len(plain)):
        np.divide(values, scale, out=features[:, column])
    return features, scale


def _unknown(accounts: int) -> NDArray[np.float32]:
    return np.full(accounts, np.nan, np.float32)


def _columns(hours: int, step_s: int) -> int:
    return max(1, round(hours * HOUR_S / step_s))


def _clock(now_s: int, accounts: int) -> list[NDArray[np.float32]]:
    angles = [2 * np.pi * (now_s % period_s) / period_s for period_s in (DAY_S, WEEK_S)]
    turns = [turn(angle) for angle in angles for turn in (np.sin, np.cos)]
    return [np.full(accounts, turn, np.float32) for turn in turns]


def _since(
    steps: NDArray[np.float32], needs: NDArray[np.float32], scale: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """The share of windows with a need, and how long ago the last large need, need and change were."""

    def log_age(happened: NDArray[np.bool_]) -> NDArray[np.float32]:
        width = happened.shape[1]
        age = np.argmax(happened[:, ::-1], axis=1) if width else np.zeros(len(happened), np.int64)
        return np.log1p(np.where(happened.any(axis=1), age, width)).astype(np.float32)

    some = needs > 0
    return [
        some.mean(axis=1, dtype=np.float32),
        log_age(needs > scale[:, None]),
        log_age(some),
        log_age(steps != 0),
    ]


def _increases(steps: NDArray[np.float32], step_s: int) -> list[NDArray[np.float32]]:
    """The last increases, newest first, and how much the count moved lately."""
    accounts, width = steps.shape
    last = [steps[:, -1 - k] if k < width else _unknown(accounts) for k in range(_INCREASES)]
    if not width:
        return [*last, _unknown(accounts), _unknown(accounts)]
    moved = [np.sqrt(np.mean(np.square(steps[:, -k:]), axis=1)) for k in (6, _columns(24, step_s))]
    return [*last, *moved]


def _windows(counts: NDArray[np.float32], step_s: int) -> list[NDArray[np.float32]]:
    """Maximum, mean and minimum of each window, over the count now."""
    now = counts[:, -1]
    found: list[NDArray[np.float32]] = []
    for width in (*_STEP_WINDOWS, *(_columns(h, step_s) for h in _HOUR_WINDOWS)):
        window = counts[:, -width:]
        found += [window.max(axis=1) - now, window.mean(axis=1) - now, window.min(axis=1) - now]
    return found


def _days_ago(
    counts: NDArray[np.float32], needs: NDArray[np.float32], *, step_s: int, lead: int
) -> list[NDArray[np.float32]]:
    """The same lead window on each of the last seven days: its level over the count now, and its need."""
    accounts, width = counts.shape
    day = _columns(24, step_s)
    now = counts[:, -1]
    levels, window_needs, found = [], [], []
    for k in range(1, _DAYS + 1):
        start, end = width - 1 - k * day, width - 1 - k * day + lead
        known = start >= 0 and end < width
        level = counts[:, start + 1 : end + 1].max(axis=1) - now if known else _unknown(accounts)
        need = needs[:, end] if known else _unknown(accounts)
        found += [level, need]
        if known:
            levels.append(level)
            window_needs.append(need)
    for days in (levels, window_needs):
        stack = np.stack(days) if days else _unknown(accounts)[None]
        found += [stack.mean(axis=0), stack.max(axis=0)]
    for k in _AROUND:
        start, end = width - 1 - k * day, width - 1 - k * day + lead
        found.append(counts[:, start] - now if start >= 0 else _unknown(accounts))
        around = needs[:, max(0, end - 2) : end + 3] if end >= 0 else needs[:, :0]
        found.append(around.max(axis=1) if around.shape[1] else _unknown(accounts))
    return found


def _past_needs(needs: NDArray[np.float32], step_s: int) -> list[NDArray[np.float32]]:
    """Quantiles of the needs of the whole window and of two days, and their latest maxima."""
    found: list[NDArray[np.float32]] = []
    for window, levels in ((needs, _LEVELS), (needs[:, -_columns(48, step_s) :], _RECENT_LEVELS)):
        ordered = np.sort(window, axis=1)
        width = window.shape[1]
        found += [ordered[:, min(width - 1, int(q * width))] for q in levels]
    return [*found, *(needs[:, -k:].max(axis=1) for k in (6, 12))]


def _alike(
    counts: NDArray[np.float32], needs: NDArray[np.float32], scale: NDArray[np.float32], *, step_s: int, lead: int
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """What followed past columns that were like this one: in level, in hour of day, in both.

    First how much there is to go by and how often a large need followed (plain numbers), then means and root mean
    squares of the needs that followed, in addresses. Kernel regression, over one account's window.
    """
    accounts, width = counts.shape
    if width <= lead:
        return [_unknown(accounts)] * 3, [_unknown(accounts)] * 6
    followed = needs[:, lead:]
    apart = np.abs(counts[:, :-lead] - counts[:, -1:])
    apart *= (-_LEVEL_NARROWNESS / scale)[:, None]
    level = np.exp(apart, out=apart)
    hours = np.arange(width - 1, lead - 1, -1) * (step_s / HOUR_S) % 24
    hours = np.minimum(np.minimum(hours, 24 - hours), _HOURS_APART_MAX)
    hour = np.exp(-_HOUR_NARROWNESS * hours).astype(np.float32)
    both = level * hour
    some = np.float32(1e-6)
    squares = np.square(followed)
    level_sum, both_sum = level.sum(axis=1) + some, both.sum(axis=1) + some
    large = np.einsum("nt,nt->n", level, followed > scale[:, None]) / level_sum
    found: list[NDArray[np.float32]] = []
    for weights, total in (
        (level, level_sum),
        (np.broadcast_to(hour, level.shape), hour.sum() + some),
        (both, both_sum),
    ):
        found.append(np.einsum("nt,nt->n", weights, followed) / total)
        found.append(np.sqrt(np.einsum("nt,nt->n", weights, squares) / total))
    return [level_sum, both_sum, large], found
