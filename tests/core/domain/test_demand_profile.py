from __future__ import annotations

import numpy as np
import pytest

from addrcast.core.domain.demand import MetricHistory, WorkloadProfile
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.profile import instances_from_metrics, resources_from_profile

NAN = np.nan


def metrics(**values: list[float]) -> MetricHistory:
    stacked = np.array([[row] for row in values.values()], dtype=np.float32)
    return MetricHistory(("a",), 0, 3600, tuple(values), stacked)


def test_the_scarcest_metric_decides() -> None:
    measured = metrics(cpu=[0, 1.4, 1.5, 7], memory=[1, 1, 20, 1], disk=[900, 900, 900, 900])
    profile = WorkloadProfile({"cpu": 2.0, "memory": 8.0}, target_utilisation=0.7)
    assert instances_from_metrics(measured, profile).counts.tolist() == [[1, 1, 4, 5]]


def test_a_load_of_whole_instances_is_not_rounded_up_by_its_last_digit() -> None:
    loads = [0.7 * number for number in range(1, 200)]
    counts = instances_from_metrics(
        metrics(cpu=loads), WorkloadProfile({"cpu": 1.0}, target_utilisation=0.7)
    ).counts
    assert counts[0].tolist() == list(range(1, 200))


def test_the_count_stays_between_minimum_and_maximum() -> None:
    profile = WorkloadProfile({"cpu": 1.0}, target_utilisation=1.0, minimum=2, maximum=5)
    assert instances_from_metrics(metrics(cpu=[0, 3, 9]), profile).counts.tolist() == [[2, 3, 5]]


def test_an_unknown_metric_is_left_out_and_only_where_all_are_the_count_is_unknown() -> None:
    profile = WorkloadProfile({"cpu": 1.0, "memory": 1.0}, target_utilisation=1.0, minimum=1)
    counts = instances_from_metrics(metrics(cpu=[2, NAN, NAN], memory=[NAN, 3, NAN]), profile).counts
    assert np.array_equal(counts, [[2, 3, NAN]], equal_nan=True)


def test_a_metric_that_was_not_measured_is_named() -> None:
    with pytest.raises(Invalid, match=r"gpu.*measured: cpu"):
        instances_from_metrics(metrics(cpu=[1]), WorkloadProfile({"gpu": 1.0}))


def test_a_profile_without_capacities_is_invalid() -> None:
    with pytest.raises(Invalid, match="measured: cpu"):
        instances_from_metrics(metrics(cpu=[1]), WorkloadProfile({}))


def test_resources_keep_the_shape_of_the_quantiles() -> None:
    quantiles = np.array([[[1, 2], [3, 4]]], dtype=np.float32)
    profile = WorkloadProfile({}, vcpu_per_instance=2, memory_gib_per_instance=8, network_mbit_s_per_instance=250)
    resources = resources_from_profile(quantiles, profile)
    assert resources.vcpu.tolist() == [[[2, 4], [6, 8]]]
    assert resources.memory_gib.tolist() == [[[8, 16], [24, 32]]]
    assert resources.network_mbit_s.tolist() == [[[250, 500], [750, 1000]]]
