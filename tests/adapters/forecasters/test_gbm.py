"""The boosted need model: what it learns, that it repeats, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from addrcast.adapters.forecasters.gbm import FILE_VERSION, GbmFitter, GbmNeedModel, load_need_model
from addrcast.core.domain.errors import Invalid
from addrcast.core.forecast.features import NEED_FEATURES
from addrcast.core.forecast.metric_features import metric_feature_names
from addrcast.core.forecast.need import NeedSample

LEVELS = (0.5, 0.9)
SIGNAL = NEED_FEATURES.index("increase_0")


def sample(*, rows: int, seed: int) -> NeedSample:
    """Labels that lie evenly between 0 and the feature `increase_0`; some other features are noise, one unknown."""
    rng = np.random.default_rng(seed)
    features = np.zeros((rows, len(NEED_FEATURES)), np.float32)
    features[:, 0] = np.nan
    features[:, -3:] = rng.normal(size=(rows, 3))
    features[:, SIGNAL] = rng.integers(1, 5, rows)
    labels = (features[:, SIGNAL] * rng.random(rows)).astype(np.float32)
    return NeedSample(features, labels, np.ones(rows, np.float32))


@pytest.fixture(scope="module")
def model() -> GbmNeedModel:
    return GbmFitter(trees=80, bags_max=1)(sample(rows=6_000, seed=0), LEVELS, 0)


def test_each_level_covers_its_share_of_unseen_rows(model: GbmNeedModel) -> None:
    unseen = sample(rows=4_000, seed=1)
    coverage = (unseen.labels[:, None] <= model.predict(unseen.features)).mean(axis=0)
    np.testing.assert_allclose(coverage, LEVELS, atol=0.03)


def test_the_quantile_follows_the_feature_that_tells(model: GbmNeedModel) -> None:
    rows = sample(rows=4_000, seed=1).features
    told = model.predict(rows)[:, 1]
    means = [told[rows[:, SIGNAL] == value].mean() for value in (1, 2, 3, 4)]
    np.testing.assert_allclose(means, [0.9, 1.8, 2.7, 3.6], rtol=0.12)


def test_the_same_sample_and_seed_give_the_same_model_on_any_number_of_threads() -> None:
    rows = sample(rows=1_500, seed=2)
    one, two = (GbmFitter(threads=threads, trees=10, bags_max=2)(rows, LEVELS, 7) for threads in (1, 2))
    np.testing.assert_array_equal(one.predict(rows.features), two.predict(rows.features))
    other = GbmFitter(trees=10, bags_max=2)(rows, LEVELS, 8)
    assert not np.array_equal(one.predict(rows.features), other.predict(rows.features))


@pytest.mark.parametrize("rows", [1, 3, 60])
def test_a_sample_too_small_to_split_gives_the_quantiles_of_all(rows: int) -> None:
    few = sample(rows=rows, seed=3)
    told = GbmFitter(trees=5, bags_max=2)(few, LEVELS, 0).predict(few.features)
    assert np.isfinite(told).all()
    assert (told == told[0]).all()


def test_a_model_survives_its_file(model: GbmNeedModel, tmp_path: Path) -> None:
    path = tmp_path / "need.model"
    model.save(path)
    loaded = load_need_model(path)
    rows = sample(rows=50, seed=4).features
    assert (loaded.levels, loaded.features) == (model.levels, model.features)
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))


def changed(path: Path, **header: object) -> Path:
    first, _, rest = path.read_text().partition("\n")
    path.write_text(json.dumps(json.loads(first) | header) + "\n" + rest)
    return path


def test_a_file_of_a_newer_version_is_refused_with_the_way_out(model: GbmNeedModel, tmp_path: Path) -> None:
    path = tmp_path / "need.model"
    model.save(path)
    with pytest.raises(Invalid, match="upgrade"):
        load_need_model(changed(path, version=FILE_VERSION + 1))


def test_a_file_that_does_not_fit_is_refused(model: GbmNeedModel, tmp_path: Path) -> None:
    path = tmp_path / "need.model"
    model.save(path)
    with pytest.raises(Invalid, match="fit the model again"):
        load_need_model(changed(path, features=["now"]))
    model.save(path)
    path.write_text(path.read_text()[:-10])
    with pytest.raises(Invalid, match="cut short"):
        load_need_model(path)
    for text in ("", "[]\n", "tree\nversion=v4\n"):
        path.write_text(text)
        with pytest.raises(Invalid, match="JSON header"):
            load_need_model(path)


def test_a_model_of_counts_and_metrics_is_read_back_with_its_metrics(tmp_path: Path) -> None:
    names = (*NEED_FEATURES, *metric_feature_names(("cpu", "disk_r")))
    rng = np.random.default_rng(5)
    features = rng.normal(size=(300, len(names))).astype(np.float32)
    labels = np.maximum(features[:, -1], 0)
    fitted = GbmFitter(trees=5, bags_max=1)(
        NeedSample(features, labels, np.ones(300, np.float32), names), LEVELS, 0
    )
    fitted.save(tmp_path / "model")
    read = load_need_model(tmp_path / "model")
    assert read.features == names
    np.testing.assert_array_equal(read.predict(features), fitted.predict(features))
