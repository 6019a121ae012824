"""What the demo counts: outcomes of creates, idle addresses, and the policies it is compared with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from addrcast.core.domain.demand import History, ReadReport
from addrcast.core.domain.record import AddressState, Outcome
from addrcast.simulation.policies.aws import AWS_WARM_IP
from addrcast.simulation.policies.azure import AZURE_V2
from addrcast.simulation.policies.cilium import CILIUM
from addrcast.simulation.replay.run import replay
from addrcast.simulation.trace import trace_from_history

if TYPE_CHECKING:
    from addrcast.core.domain.demand import CountHistory
    from addrcast.core.domain.ledger import Ledger

WARM_POOLS = (AWS_WARM_IP, AZURE_V2, CILIUM)


@dataclass(slots=True)
class AccountTally:
    """One account's figures; `idle_ms` and `bound_ms` are address-milliseconds, cooling counts as idle."""

    tier: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: int = 0
    ready_at_once: int = 0
    deletes: int = 0
    idle_ms: float = 0.0
    bound_ms: float = 0.0
    bound: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)

    @property
    def creates(self) -> int:
        """All creates that were asked for."""
        return sum(self.outcomes.values()) + self.refused

    @property
    def misses(self) -> float:
        """The share of creates that found no address held ready."""
        return (self.outcomes[Outcome.DYNAMIC] + self.refused) / max(self.creates, 1)

    @property
    def waste(self) -> float:
        """Idle addresses for each one bound."""
        return self.idle_ms / max(self.bound_ms, 1.0)

    def sample(self, ledger: Ledger, account: str, *, step_ms: int, cooling_ms: int) -> None:
        """Count what lies idle and what is bound for one step; what cools now does so for `cooling_ms` of it."""
        held = {state: len(ledger.in_state(account, state)) for state in AddressState}
        idle = held[AddressState.RESERVED] + held[AddressState.PRESERVED]
        self.idle.append(idle)
        self.bound.append(held[AddressState.BOUND])
        self.idle_ms += idle * step_ms + held[AddressState.COOLING] * cooling_ms
        self.bound_ms += held[AddressState.BOUND] * step_ms


def warm_pool_misses(counts: CountHistory, account: str, *, first: int, waste: float) -> tuple[str, float] | None:
    """The best of the warm pools on one account at a waste, scored from column `first` on, and its misses.

    Each is tuned over its whole grid. None where no setting is as thrifty.
    """
    report = ReadReport(
        "fleets", counts.counts.size, len(counts.accounts), counts.start_s, counts.step_s, counts.steps
    )
    history = History(counts=counts, events=None, metrics=None, report=report)
    trace = trace_from_history(history, from_fraction=first / (counts.steps - 1), accounts_glob=account)
    return replay(trace, WARM_POOLS).best_reactive(waste)
