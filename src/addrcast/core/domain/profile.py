"""What a workload profile says: metrics into instances, instances into resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.demand import CountHistory, MetricHistory, WorkloadProfile
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

# float32 metrics carry seven digits: a load that is a whole number of instances but for the eighth is that number.
ROUNDING = 1e-6


def instances_from_metrics(metrics: MetricHistory, profile: WorkloadProfile) -> CountHistory:
    """The instances needed at each time: max over metrics of ceil(value / (capacity * target)), clamped.

    A metric that is unknown at a time is left out of the maximum; where all are, the count is unknown (NaN).

    Raises: Invalid where the profile names a metric that was not measured, or none.
    """
    absent = sorted(set(profile.capacity) - set(metrics.names))
    if absent or not profile.capacity:
        rule = f"give it capacities, and only for what was measured: {', '.join(metrics.names)}"
        raise Invalid("workload profile", absent, rule)
    counts = np.full(metrics.values.shape[1:], np.nan, dtype=np.float32)
    for name, capacity in profile.capacity.items():
        load = metrics.values[metrics.names.index(name)] / np.float32(capacity * profile.target_utilisation)
        np.fmax(counts, np.ceil(load * np.float32(1 - ROUNDING)), out=counts)
    np.clip(counts, profile.minimum, profile.maximum, out=counts)
    return CountHistory(metrics.accounts, metrics.start_s, metrics.step_s, counts)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a number of instances asks of the hosts; all float32, in the shape of the instances."""

    vcpu: NDArray[np.float32]
    memory_gib: NDArray[np.float32]
    network_mbit_s: NDArray[np.float32]


def resources_from_profile(instances: NDArray[np.float32], profile: WorkloadProfile) -> Resources:
    """Resource requirements of instance quantiles of any shape, element by element."""
    return Resources(
        vcpu=instances * np.float32(profile.vcpu_per_instance),
        memory_gib=instances * np.float32(profile.memory_gib_per_instance),
        network_mbit_s=instances * np.float32(profile.network_mbit_s_per_instance),
    )
