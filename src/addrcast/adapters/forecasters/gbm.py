"""The pooled model of the need as gradient-boosted quantiles (LightGBM), and its file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np

from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.features import NEED_FEATURES
from addrcast.core.forecast.metric_features import metric_feature_names, metrics_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.forecast.need import NeedSample

FILE_VERSION = 1

_TREES = 100
_BAGS_MAX = 6
_ROWS_OF_BAGS = 100_000
"""A sample of fewer rows is fitted several times, with other draws: it costs no more than a large one."""
_SETTINGS: dict[str, Any] = {
    "objective": "quantile",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 31,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True, slots=True)
class GbmNeedModel:
    """Boosters over the features named in `features`: as many for each level, whose answers are averaged."""

    levels: tuple[float, ...]
    features: tuple[str, ...]
    boosters: tuple[tuple[lgb.Booster, ...], ...]
    threads: int = 1

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Quantiles float32 `(R, Q)` in units of the rows' scale; they may cross."""
        answer = np.empty((len(features), len(self.levels)), np.float32)
        for column, bag in enumerate(self.boosters):
            each = [booster.predict(features, num_threads=self.threads) for booster in bag]
            answer[:, column] = np.mean(each, axis=0)
        return answer

    def save(self, path: Path) -> None:
        """Write a JSON header line, then the boosters' own text."""
        texts = [booster.model_to_string() for bag in self.boosters for booster in bag]
        header = {
            "format": "addrcast need model",
            "version": FILE_VERSION,
            "levels": self.levels,
            "features": self.features,
            "lengths": [len(text) for text in texts],
        }
        path.write_text(json.dumps(header) + "\n" + "".join(texts), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class GbmFitter:
    """Fits the pooled model on `threads` threads; their number does not change the model."""

    threads: int = 1
    trees: int = _TREES
    bags_max: int = _BAGS_MAX

    def __call__(self, sample: NeedSample, levels: Sequence[float], seed: int) -> GbmNeedModel:
        """Fit the boosters of each of `levels`; rows weigh by the root of their scale.

        Misses are counted in addresses, which asks for the scale itself as the weight; its root loses less
        to the few largest accounts (see docs/decisions/forecast-row-weights.md).
        """
        # LightGBM's own threads wait for each other at every split, which is slow on a busy machine.
        shares = [levels[k :: self.threads] for k in range(min(self.threads, len(levels)))]
        with ThreadPoolExecutor(self.threads) as pool:
            fitted = list(pool.map(lambda share: self._fit(sample, share, seed), shares))
        bag_of = {
            level: bag
            for share, bags in zip(shares, fitted, strict=True)
            for level, bag in zip(share, bags, strict=True)
        }
        return GbmNeedModel(tuple(levels), sample.names, tuple(bag_of[level] for level in levels), self.threads)

    def _fit(self, sample: NeedSample, levels: Sequence[float], seed: int) -> list[tuple[lgb.Booster, ...]]:
        weights = np.sqrt(sample.scales)
        settings = dict(_SETTINGS)
        if len(weights) < settings["min_data_in_leaf"]:
            # No tree can split, and LightGBM draws no row at all from a handful.
            settings["bagging_freq"] = 0
        rows = lgb.Dataset(
            sample.features,
            sample.labels,
            weight=weights / weights.mean(),
            feature_name=list(sample.names),
            params=settings,
        ).construct()
        bags = min(self.bags_max, max(1, _ROWS_OF_BAGS // len(weights)))

        def bag(level: float) -> tuple[lgb.Booster, ...]:
            each = [settings | {"alpha": level, "seed": seed + k} for k in range(bags)]
            return tuple(lgb.train(one, rows, self.trees) for one in each)

        return [bag(level) for level in levels]


def load_need_model(path: Path, *, threads: int = 1) -> GbmNeedModel:
    """Read what `GbmNeedModel.save` wrote.

    Raises Invalid for a file that is not a need model, is cut short, has a newer version, or was fitted on other
    features than this program computes.
    """
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    try:
        header = json.loads(first)
    except json.JSONDecodeError:
        header = None
    if not isinstance(header, dict) or header.get("format") != "addrcast need model":
        raise Invalid(str(path), first[:40], "a need model begins with its JSON header")
    if header["version"] > FILE_VERSION:
        raise Invalid(str(path), header["version"], f"this program reads versions up to {FILE_VERSION}; upgrade it")
    metrics = metrics_of(header["features"][len(NEED_FEATURES) :])
    if tuple(header["features"]) != (*NEED_FEATURES, *metric_feature_names(metrics)):
        raise Invalid(
            str(path), len(header["features"]), "its features are not this program's; fit the model again"
        )
    if sum(header["lengths"]) != len(rest):
        raise Invalid(
            str(path), len(rest), f"{sum(header['lengths'])} characters of boosters are expected; cut short?"
        )
    ends = itertools.accumulate(header["lengths"], initial=0)
    texts = [rest[a:b] for a, b in itertools.pairwise(ends)]
    boosters = [lgb.Booster(model_str=text) for text in texts]
    size = len(boosters) // len(header["levels"])
    bags = tuple(tuple(boosters[k : k + size]) for k in range(0, len(boosters), size))
    return GbmNeedModel(tuple(header["levels"]), tuple(header["features"]), bags, threads)
