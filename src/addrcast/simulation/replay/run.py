"""Replays a trace under many policies and compares them at equal waste."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from addrcast.simulation.replay.envelope import WASTE_LEVELS, lower_envelope, misses_at
from addrcast.simulation.replay.scoring import Point, Scorer

if TYPE_CHECKING:
    from addrcast.simulation.policies.policy import Decision, Policy
    from addrcast.simulation.trace import Trace

Progress = Callable[[str, int, int], None]
DecisionSink = Callable[[str, "Decision"], None]


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """A policy's points, in the order of its grid."""

    name: str
    is_reactive: bool
    points: tuple[Point, ...]

    def envelope(self) -> list[Point]:
        """The points that no other of its settings beats in both waste and misses, in ascending order of waste."""
        return lower_envelope(self.points)

    def misses_at(self, waste: float) -> float | None:
        """The misses at a waste on the policy's lower envelope; None where no setting is so thrifty."""
        return misses_at(self.envelope(), waste)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay found: the size of the trace and every policy's points."""

    accounts: int
    creates: int
    policies: tuple[PolicyResult, ...]

    def best_reactive(self, waste: float) -> tuple[str, float] | None:
        """The reactive policy with the least misses at a waste, and its misses; the first named of equal ones."""
        reached = [
            (misses, policy.name)
            for policy in self.policies
            if policy.is_reactive and (misses := policy.misses_at(waste)) is not None
        ]
        if not reached:
            return None
        misses, name = min(reached, key=lambda pair: pair[0])
        return name, misses

    def as_json(self) -> dict[str, object]:
        """The result as `--json` prints it."""
        return {
            "accounts": self.accounts,
            "creates": self.creates,
            "policies": [
                {"name": policy.name, "points": [asdict(point) for point in policy.points]}
                for policy in self.policies
            ],
            "misses_at_waste": {
                str(waste): {policy.name: policy.misses_at(waste) for policy in self.policies}
                for waste in WASTE_LEVELS
            },
        }


def replay(
    trace: Trace,
    policies: Sequence[Policy],
    *,
    on_progress: Progress | None = None,
    on_decision: DecisionSink | None = None,
) -> ReplayResult:
    """Scores every setting of every policy on the trace.

    `on_progress` gets a policy's name before it starts, how many are done and how many there are. `on_decision`
    gets each policy's name and decision as it is scored; a decision is not kept.
    """
    scorer = Scorer(trace)
    results: list[PolicyResult] = []
    for policy in policies:
        if on_progress is not None:
            on_progress(policy.name, len(results), len(policies))
        points: list[Point] = []
        for decision in policy.decide(trace):
            points.append(scorer.score(policy, decision))
            if on_decision is not None:
                on_decision(policy.name, decision)
        results.append(PolicyResult(policy.name, policy.is_reactive, tuple(points)))
    return ReplayResult(len(trace.accounts), round(scorer.creates), tuple(results))
