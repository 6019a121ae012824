"""Rounds of plan, steps, creates, deletes and time in one ledger, beside a twin that only counts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.core.reservation.cluster import HOUR_MS, Cluster, open_cluster
from tests.core.reservation.fleet import CALM, plan_input, pool_columns

from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import DEFAULT_TIERS
from addrcast.core.reservation.aging import Why
from addrcast.core.reservation.batch import batch_of
from addrcast.core.reservation.cutting import ReserveStep
from addrcast.core.reservation.plan import Plan, plan_for
from addrcast.core.reservation.plan_input import UNLIMITED

NAMES = ("a", "b", "c")
TIERS = ("premium", "standard", "basic")
QUOTA = 9
SIZE = 32
IDLE = (AddressState.RESERVED, AddressState.PRESERVED)


class Rounds(RuleBasedStateMachine):
    """Three accounts of three tiers share one pool of 32; hosts have room for all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster: Cluster = open_cluster()
        self.twin = {(name, state): 0 for name in NAMES for state in ("bound", "reserved", "preserved", "cooling")}
        self.rounds = [0, 0, 0]

    @initialize()
    def declare(self) -> None:
        self.cluster.add_pool("shared", "10.0.0.0/27", is_shared=True)
        self.cluster.add_pool("blocks", "192.168.0.0/24", is_physical=True)
        self.cluster.add_host("h1", "192.168.0.0/26")
        self.cluster.add_host("h2", "192.168.0.64/26")
        for name, tier in zip(NAMES, TIERS, strict=True):
            self.cluster.add_account(name, "shared", tier=tier, quota=QUOTA if name == "c" else None)

    def column(self, state: str) -> list[int]:
        return [self.twin[name, state] for name in NAMES]

    def total(self, state: str) -> int:
        return sum(self.column(state))

    def plan(self, needs: list[int]) -> Plan:
        free = SIZE - sum(self.twin.values())
        pools = pool_columns(
            {"name": "shared", "free": free, "total": SIZE}
            | {state: self.total(state) for state in ("reserved", "preserved", "cooling")}
        )
        return plan_for(
            plan_input(
                [[float(need)] * 3 for need in needs],
                accounts=NAMES,
                tiers=dict(DEFAULT_TIERS),
                tier=TIERS,
                pools=pools,
                draws=[[0]] * 3,
                preserved=self.column("preserved"),
                reserved=self.column("reserved"),
                bound=self.column("bound"),
                quota=[UNLIMITED, UNLIMITED, QUOTA],
                unwanted_rounds=self.rounds,
                settings=replace(CALM, dead_band=1, ttl_ms=10**12),
            )
        )

    @rule(needs=st.lists(st.integers(0, 14), min_size=3, max_size=3), batch_max=st.integers(1, 9))
    def plan_and_carry_out(self, needs: list[int], batch_max: int) -> None:
        plan = self.plan(needs)
        before = dict(self.twin)
        free = SIZE - sum(before.values())
        self.rounds = plan.unwanted_rounds.tolist()
        served: list[str] = []
        position: int | None = 0
        while position is not None:
            batch = batch_of(
                plan,
                self.cluster.ledger,
                recent_creates={"a": {"h1": 3, "h2": 1}},
                now_ms=self.cluster.now_ms,
                batch_max=batch_max,
                position=position,
            )
            assert len(batch.steps) <= batch_max
            for step in batch.steps:
                if isinstance(step, ReserveStep):
                    served.append(step.account)
                    self.twin[step.account, "reserved"] += 1
                else:
                    self.twin[step.account, "preserved" if step.why is Why.HOLD_OVER else "reserved"] -= 1
                    self.twin[step.account, "cooling"] += 1
            self.cluster.carry_out(batch.steps)
            position = batch.next_position
        assert served == sorted(served), "premium first"
        self.check_outcome(plan, served, free)

    def check_outcome(self, plan: Plan, served: list[str], free: int) -> None:
        target = dict(zip(NAMES, plan.reserved.tolist(), strict=True))
        left = SIZE - sum(self.twin.values())
        assert left == free - len(served)
        for row, name in enumerate(NAMES):
            assert self.twin[name, "reserved"] <= target[name]
            headroom = -(-SIZE * round(100 * DEFAULT_TIERS[TIERS[row]].headroom) // 100)
            if name in served:
                assert left >= headroom
            used = self.twin[name, "bound"] + self.twin[name, "reserved"] + self.twin[name, "preserved"]
            assert name != "c" or used <= max(QUOTA, self.twin[name, "bound"] + self.twin[name, "preserved"])
            is_unmet = self.twin[name, "reserved"] < target[name]
            if is_unmet and name != "c":
                # whoever is still short was stopped by what its rank leaves free, and no later rank got any
                assert left <= headroom
                assert not set(served) & set(NAMES[row + 1 :])

    def move(self, name: str, state: AddressState, after: AddressState) -> None:
        entry = next(iter(self.cluster.ledger.in_state(name, state)), None)
        if entry is not None:
            self.cluster.enter(name, entry.key.removeprefix(f"network_address.{name}."), after)
            self.twin[name, state.value] -= 1
            self.twin[name, after.value] += 1

    @rule(name=st.sampled_from(NAMES), state=st.sampled_from(IDLE))
    def create(self, name: str, state: AddressState) -> None:
        self.move(name, state, AddressState.BOUND)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.move(name, AddressState.BOUND, AddressState.PRESERVED)

    @rule(name=st.sampled_from(NAMES))
    def end_cooling(self, name: str) -> None:
        for entry in list(self.cluster.ledger.in_state(name, AddressState.COOLING)):
            self.cluster.free(name, entry.key.removeprefix(f"network_address.{name}."))
        self.twin[name, "cooling"] = 0

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.cluster.now_ms += hours * HOUR_MS

    @invariant()
    def the_ledger_and_the_twin_agree(self) -> None:
        for name in NAMES:
            found = self.cluster.states(name)
            assert {state: found.get(state, 0) for state in ("bound", "reserved", "preserved", "cooling")} == {
                state: self.twin[name, state] for state in ("bound", "reserved", "preserved", "cooling")
            }

    @invariant()
    def the_pool_adds_up(self) -> None:
        if self.cluster.ledger.pools():
            counts = self.cluster.ledger.counts("shared")
            assert counts.is_balanced
            assert counts.free == SIZE - sum(self.twin.values())


Rounds.TestCase.settings = settings(stateful_step_count=25)
TestRounds = Rounds.TestCase
