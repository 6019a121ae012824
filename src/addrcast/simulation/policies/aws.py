"""AWS ipamd's warm pool: interfaces, addresses or /28 prefixes kept ready on top of what is assigned.

Every mode is a function of the assigned addresses alone once the pool has settled, if these fill the interfaces
and prefixes from the first on: the kindest case for the peer, since a scattered pod keeps its whole unit.
Source: aws/amazon-vpc-cni-k8s, pkg/ipamd/ipamd.go and pkg/ipamd/datastore/data_store.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import NEW_INTERFACE_S, Decision, Policy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from addrcast.simulation.trace import Trace

PREFIX = 16
COOLDOWN_S = 30.0
# Addresses per interface, less its primary, of t3.micro, t3.small, t3.medium, m5.large, m5.xlarge, m5.4xlarge.
SLOTS = (1, 3, 5, 9, 14, 29)
M5_LARGE_SLOTS = 9
WARM_ENIS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
WARM_IPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 512)
MIN_IPS = (0, 8, 32, 64)
WARM_PREFIXES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)


def settled_interfaces(
    assigned: ArrayLike,
    *,
    slots: int,
    warm_eni: int = 1,
    warm_ip: int = 0,
    min_ip: int = 0,
    interfaces_max: float = np.inf,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interfaces and addresses at the fixed point of the pool pass, for each number of assigned addresses.

    `WARM_IP` or `MIN_IP` set rule out `WARM_ENI`. With `WARM_ENI` of 0 a full interface asks for another, whose
    emptiness takes it away again; it is counted as there.
    """
    used = np.asarray(assigned, dtype=np.float64)
    if warm_ip or min_ip:
        total = np.minimum(np.maximum(used + warm_ip, min_ip), interfaces_max * slots)
        return np.maximum(np.ceil(total / slots), 1), total
    interfaces = np.ceil(used / slots) + warm_eni if warm_eni else np.floor(used / slots) + 1
    interfaces = np.minimum(interfaces, interfaces_max)
    return interfaces, interfaces * slots


def settled_prefixes(
    assigned: ArrayLike, *, warm_prefix: int = 0, warm_ip: int = 0, min_ip: int = 0, prefixes_max: float = np.inf
) -> NDArray[np.float64]:
    """The /28 prefixes at the fixed point of the pool pass, for each number of assigned addresses."""
    used = np.asarray(assigned, dtype=np.float64)
    if warm_ip or min_ip:
        prefixes = np.maximum(np.ceil((used + warm_ip) / PREFIX), np.ceil(min_ip / PREFIX))
    elif warm_prefix:
        prefixes = np.ceil(used / PREFIX) + warm_prefix
    else:
        prefixes = np.floor(used / PREFIX) + 1
    return np.minimum(prefixes, prefixes_max)


def decide_warm_interfaces(trace: Trace) -> Iterator[Decision]:
    """`WARM_ENI_TARGET` over several instance types; a call creates, attaches, detaches or deletes an interface."""
    counts = trace.counts[:, trace.decided]
    for slots in SLOTS:
        for warm_eni in WARM_ENIS:
            interfaces, total = settled_interfaces(counts, slots=slots, warm_eni=warm_eni)
            calls = 2 * _moved(interfaces)
            yield Decision(f"slots={slots} WARM_ENI={warm_eni}", _idle(total, counts), calls)


def decide_warm_addresses(trace: Trace) -> Iterator[Decision]:
    """`WARM_IP_TARGET` with `MINIMUM_IP_TARGET`; a call moves addresses, or an interface as above."""
    counts = trace.counts[:, trace.decided]
    for warm_ip in WARM_IPS:
        for min_ip in MIN_IPS:
            interfaces, total = settled_interfaces(counts, slots=M5_LARGE_SLOTS, warm_ip=warm_ip, min_ip=min_ip)
            calls = 2 * _moved(interfaces) + float(np.count_nonzero(np.diff(total, axis=1)))
            yield Decision(f"WARM_IP={warm_ip} MIN_IP={min_ip}", _idle(total, counts), calls)


def decide_prefixes(trace: Trace) -> Iterator[Decision]:
    """Prefix delegation, by `WARM_PREFIX_TARGET` or by addresses; a call assigns or gives back prefixes."""
    counts = trace.counts[:, trace.decided]
    grid = [{"warm_prefix": warm} for warm in WARM_PREFIXES]
    grid += [{"warm_ip": warm, "min_ip": low} for warm in WARM_IPS[::2] for low in MIN_IPS]
    for setting in grid:
        prefixes = settled_prefixes(counts, **setting)
        calls = float(np.count_nonzero(np.diff(prefixes, axis=1)))
        name = " ".join(f"{key.upper()}={figure}" for key, figure in setting.items())
        yield Decision(name, _idle(prefixes * PREFIX, counts), calls)


def _idle(total: NDArray[np.float64], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    return (total - counts).astype(np.float32)


def _moved(units: NDArray[np.float64]) -> float:
    """How many units came or went between decisions, over all accounts."""
    return float(np.abs(np.diff(units, axis=1)).sum())


AWS_WARM_ENI = Policy("aws_warm_eni", decide_warm_interfaces, cooldown_s=COOLDOWN_S, miss_s=NEW_INTERFACE_S)
AWS_WARM_IP = Policy("aws_warm_ip", decide_warm_addresses, cooldown_s=COOLDOWN_S)
AWS_PREFIX = Policy("aws_prefix", decide_prefixes, cooldown_s=COOLDOWN_S)
