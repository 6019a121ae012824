"""Cilium's watermarks with and without the release of excess, and its multi-pool mode.

Source: cilium/cilium, operator/pkg/ipam/nodemanager/node.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from addrcast.simulation.policies.policy import Decision, Policy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from addrcast.simulation.trace import Trace

PRE_ALLOCATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)
ABOVES = (0, 2, 8)
MINIMA = (0, 16)
# An allocation may leave less free than asked for when pods were waiting; the second one never does.
ALLOCATIONS_TO_SETTLE = 2


@dataclass(frozen=True, slots=True)
class Watermarks:
    """A node's settings: free addresses kept (`pre`, one or several), least attached, surplus per request."""

    pre: ArrayLike
    minimum: int
    above: int
    releases: bool


def needed(
    available: ArrayLike, used: ArrayLike, *, pre: ArrayLike, minimum: int, attached_max: int = 0
) -> NDArray[np.float64]:
    """How many addresses a node lacks; `available` are all attached ones, used included. A maximum of 0 is none."""
    attached = np.asarray(available, dtype=np.float64)
    kept = np.asarray(pre, dtype=np.float64)
    lacking = kept - (attached - np.asarray(used, dtype=np.float64))
    if minimum > 0:
        lacking = np.maximum(lacking, minimum - attached)
    if attached_max > 0:
        lacking = np.minimum(lacking, attached_max - attached)
    return np.maximum(lacking, 0)


def excess(
    available: ArrayLike, used: ArrayLike, *, pre: ArrayLike, minimum: int, above: int
) -> NDArray[np.float64]:
    """How many addresses a node could give back."""
    attached, busy = np.asarray(available, dtype=np.float64), np.asarray(used, dtype=np.float64)
    kept, floor = np.asarray(pre, dtype=np.float64), minimum + above
    small = busy <= floor
    over = np.maximum(attached - busy - kept - above, 0)
    over = np.where(small & (busy + kept <= floor), attached - floor, over)
    return np.where(small & (attached <= floor), 0, over)


def multipool_demand(in_use: ArrayLike, *, pre: int = 16) -> NDArray[np.float64]:
    """What a node asks of a pool for the addresses in use and pending: whole units of `pre`, one of them free."""
    addresses = np.asarray(in_use, dtype=np.float64)
    units: NDArray[np.float64] = np.floor(addresses / pre) + 1 + (addresses % pre != 0)
    return pre * units


def decide(trace: Trace) -> Iterator[Decision]:
    """The watermarks; a call allocates or releases."""
    pre = np.array(PRE_ALLOCATES, dtype=np.float64)[:, None]
    for minimum, above, releases in product(MINIMA, ABOVES, (False, True)):
        attached, calls = _play(trace, Watermarks(pre, minimum, above, releases))
        setting = f"min={minimum} above={above} release={'on' if releases else 'off'}"
        for row, kept in enumerate(PRE_ALLOCATES):
            idle = attached[row] - trace.counts[:, trace.decided]
            yield Decision(f"pre={kept} {setting}", idle, float(calls[row]))


def _play(trace: Trace, marks: Watermarks) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Attached addresses at each decision, `(settings, N, decisions)`, and the calls of the scored part.

    The trace begins with nothing attached.
    """
    settings = len(PRE_ALLOCATES)
    attached = np.zeros((settings, len(trace.accounts)))
    decided = np.empty((settings, *trace.counts[:, trace.decided].shape), dtype=np.float32)
    calls = np.zeros(settings, dtype=np.int64)
    for column in range(trace.decided.stop):
        attached, made = settle(attached, trace.counts[:, column].astype(np.float64), marks)
        if column >= trace.scored_from:
            decided[:, :, column - trace.scored_from] = attached
            calls += made.sum(axis=1)
    return decided, calls


def settle(
    attached: NDArray[np.float64], pods: NDArray[np.float64], marks: Watermarks
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The attached addresses once the node rests, for `pods` of which some may wait, and the calls of each node.

    request = needed + above + surge, where surge = waiting pods beyond what is needed; nothing is asked for while
    nothing is needed. `pre` is at least 1: with 0 waiting pods never get anything.
    """
    calls = np.zeros(np.broadcast_shapes(attached.shape, pods.shape), dtype=np.int64)
    for _ in range(ALLOCATIONS_TO_SETTLE):
        used = np.minimum(pods, attached)
        lacking = needed(attached, used, pre=marks.pre, minimum=marks.minimum)
        surge = np.maximum(pods - used - lacking, 0)
        attached = attached + np.where(lacking > 0, lacking + marks.above + surge, 0)
        calls += lacking > 0
    if marks.releases:
        over = excess(attached, pods, pre=marks.pre, minimum=marks.minimum, above=marks.above)
        attached = attached - over
        calls += over > 0
    return attached, calls


def decide_multipool(trace: Trace) -> Iterator[Decision]:
    """The pre-allocation of one pool; a call is one change of what is asked for."""
    counts = trace.counts[:, trace.decided]
    for pre in PRE_ALLOCATES:
        demand = multipool_demand(counts, pre=pre)
        calls = float(np.count_nonzero(np.diff(demand, axis=1)))
        yield Decision(f"pre={pre}", (demand - counts).astype(np.float32), calls)


CILIUM = Policy("cilium", decide)
CILIUM_MULTIPOOL = Policy("cilium_multipool", decide_multipool)
