"""The rules by which a decision is scored: misses, waste, waiting, back-end calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid
from addrcast.simulation.trace import lead_creates, lead_need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.simulation.policies.policy import Decision, Policy
    from addrcast.simulation.trace import Trace


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of a policy on one trace.

    `misses` is the share of creates that found no address ready; `waste` is idle and cooling address-steps per
    bound address-step; `waiting_s` is how long a create waited for its address in the mean.
    """

    setting: str
    misses: float
    waste: float
    calls_per_instance: float
    waiting_s: float


class Scorer:
    """Scores the decisions of any policy on one trace; what depends on the trace alone is computed once."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._needs: dict[float, NDArray[np.float32]] = {}
        self._creates = float(lead_creates(trace).sum())
        self._bound = float(trace.counts[:, trace.decided].sum(dtype=np.float64))
        if not self._bound:
            raise Invalid("trace", trace.accounts[:3], "no instance lives in the scored part, so waste has no unit")

    @property
    def creates(self) -> float:
        """The creates of all lead windows together; with a lead above 1 a create lies in several windows."""
        return self._creates

    def score(self, policy: Policy, decision: Decision) -> Point:
        """The figures of one decision.

        Raises: Invalid where the decision has another shape than the scored part, or holds less than nothing.
        """
        need = self._need(policy.cooldown_s)
        if decision.idle.shape != need.shape:
            raise Invalid(f"{policy.name} {decision.setting}", decision.idle.shape, f"{need.shape} is decided")
        if not (decision.idle >= 0).all():
            raise Invalid(f"{policy.name} {decision.setting}", float(decision.idle.min()), "idle is at least 0")
        missed = float(np.maximum(need - decision.idle, 0).sum(dtype=np.float64))
        idle = float(decision.idle.sum(dtype=np.float64)) + cooling_steps(self._trace, policy.cooldown_s)
        creates = max(self._creates, 1.0)
        return Point(
            setting=decision.setting,
            misses=missed / creates,
            waste=idle / self._bound,
            calls_per_instance=decision.calls / creates,
            waiting_s=missed * policy.miss_s / creates,
        )

    def _need(self, cooldown_s: float) -> NDArray[np.float32]:
        if cooldown_s not in self._needs:
            ahead = self._trace.scored_from + self._trace.lead
            self._needs[cooldown_s] = lead_need(self._trace, cooldown_s=cooldown_s)[:, ahead:]
        return self._needs[cooldown_s]


def cooling_steps(trace: Trace, cooldown_s: float) -> float:
    """Address-steps spent in cooldown inside the scored part, over all accounts.

    Each delete cools from its own second for `cooldown_s`, cut off at the ends of the scored part; on counts it
    happens at the time of the column that shows it.
    """
    begin_s = trace.start_s + trace.decided.start * trace.step_s
    end_s = trace.start_s + trace.decided.stop * trace.step_s
    if trace.events is None:
        deleted_s, sizes = trace.times_s().astype(np.float64), trace.deletes.sum(axis=0, dtype=np.float64)
    else:
        deleted_s, sizes = trace.events.deleted_s, trace.events.sizes
    cooled_s = np.clip(deleted_s + cooldown_s, begin_s, end_s) - np.clip(deleted_s, begin_s, end_s)
    return float((cooled_s * sizes).sum() / trace.step_s)
