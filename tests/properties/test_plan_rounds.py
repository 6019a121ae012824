"""Rounds of plan, steps, creates, deletes, aging and time in one ledger, beside a twin that only counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.core.reservation.cluster import Cluster, open_cluster
from tests.core.reservation.fleet import CALM

from addrcast.core.controller.giving_back import going_back
from addrcast.core.controller.territory import Territory
from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import DEFAULT_TIERS, MINUTE_MS
from addrcast.core.domain.transaction import Compare
from addrcast.core.propagation.stamps import FutureStamps
from addrcast.core.reservation.batch import batch_of
from addrcast.core.reservation.cutting import ReserveStep
from addrcast.core.reservation.plan import Plan, plan_for
from addrcast.core.reservation.policy import ServedNeed
from addrcast.core.reservation.supply import Round, plan_input_of
from addrcast.core.reservation.surplus import Why

if TYPE_CHECKING:
    from addrcast.core.domain.resource import Tier

NAMES = ("a", "b", "c")
TIERS = ("premium", "standard", "basic")
QUOTA = 9
SIZE = 32
IDLE = (AddressState.RESERVED, AddressState.PRESERVED)
NEEDS = st.lists(st.integers(0, 14), min_size=3, max_size=3)
SETTINGS = replace(CALM, dead_band=1)


class Rounds(RuleBasedStateMachine):
    """Three accounts of three tiers share one pool of 32; hosts have room for all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster: Cluster = open_cluster()
        self.twin = {(name, state): 0 for name in NAMES for state in ("bound", "reserved", "preserved", "cooling")}
        self.previous: Plan | None = None

    @initialize()
    def declare(self) -> None:
        self.cluster.add_pool("shared", "10.0.0.0/27", is_shared=True)
        self.cluster.add_pool("blocks", "192.168.0.0/24", is_physical=True)
        self.cluster.add_host("h1", "192.168.0.0/26")
        self.cluster.add_host("h2", "192.168.0.64/26")
        for name, tier in zip(NAMES, TIERS, strict=True):
            self.cluster.add_account(name, "shared", tier=tier, quota=QUOTA if name == "c" else None)

    def plan(self, needs: list[int]) -> Plan:
        need = np.array(needs, dtype=np.float32)[:, None].repeat(2, axis=1)
        served = ServedNeed(need, np.zeros(3, dtype=np.uint8))
        round_ = Round(self.cluster.now_ms, 0, previous=self.previous, settings=SETTINGS)
        return plan_for(plan_input_of(self.cluster.ledger, NAMES, np.array([0.5, 0.99]), served, round_))

    def lasting(self, name: str) -> int:
        """The reservations that are not in the last ten minutes before they age."""
        after_ms = self.cluster.now_ms + 10 * MINUTE_MS - self.tier(name).age_limit_ms
        reserved = self.cluster.ledger.in_state(name, AddressState.RESERVED)
        return sum(entry.required.since_ms > after_ms for entry in reserved)

    def tier(self, name: str) -> Tier:
        return DEFAULT_TIERS[TIERS[NAMES.index(name)]]

    @rule(needs=NEEDS, batch_max=st.integers(1, 9))
    def plan_and_carry_out(self, needs: list[int], batch_max: int) -> None:
        self.previous = plan = self.plan(needs)
        free = SIZE - sum(self.twin.values())
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
                    record = self.cluster.ledger.record(step.account, step.logical).required
                    is_past_hold = record.since_ms + self.tier(step.account).hold_ms <= self.cluster.now_ms
                    assert is_past_hold or step.why is Why.RESERVED
                    self.twin[step.account, "preserved" if step.why is Why.PRESERVED else "reserved"] -= 1
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
            assert self.lasting(name) <= target[name]
            if plan.let_go[row]:
                assert self.lasting(name) + self.twin[name, "preserved"] == plan.target[row] >= plan.wanted[row]
            headroom = -(-SIZE * round(100 * DEFAULT_TIERS[TIERS[row]].headroom) // 100)
            if name in served:
                assert left >= headroom
            used = self.twin[name, "bound"] + self.twin[name, "reserved"] + self.twin[name, "preserved"]
            assert name != "c" or used <= max(QUOTA, self.twin[name, "bound"] + self.twin[name, "preserved"])
            is_unmet = self.lasting(name) < target[name]
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

    @rule(minutes=st.sampled_from([1, 4, 9, 70, 400, 1_800]))
    def wait(self, minutes: int) -> None:
        """Time passes, and what is past its age limit then goes without a plan."""
        self.cluster.now_ms += minutes * MINUTE_MS
        territory = Territory.whole(Compare("leader", 1))
        drafts = going_back(
            self.cluster.ledger, FutureStamps(skew_max_ms=0), territory=territory, now_ms=self.cluster.now_ms
        )
        for record in [draft.writes[0][0] for draft in drafts]:
            _, account, logical = parts_of(record.key)
            self.cluster.enter(account, logical, AddressState.COOLING)
            self.twin[account, record.required.state.value] -= 1
            self.twin[account, "cooling"] += 1

    @rule(needs=NEEDS)
    def come_to_rest(self, needs: list[int]) -> None:
        """The same needs again and again, and no creates: who is short of nothing holds them, but for what ages."""
        for _ in range(6):
            self.wait(16)
            for name in NAMES:
                self.end_cooling(name)
            self.plan_and_carry_out(needs, 9)
        plan = self.plan(needs)
        is_short = plan.by_quota + plan.by_pool > 0
        for row, name in enumerate(NAMES):
            if not is_short[row]:
                # while reservations are about to be replaced, quota or pool may not have room for both
                preserved = self.twin[name, "preserved"]
                assert self.lasting(name) + preserved <= needs[row] <= self.twin[name, "reserved"] + preserved

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
