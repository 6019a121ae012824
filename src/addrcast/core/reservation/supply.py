"""Reads from the ledger what a plan needs besides the need: supply, quotas, room, pools."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from addrcast.core.domain.address import Family, parse_prefix
from addrcast.core.domain.pool import pool_space
from addrcast.core.domain.record import AddressState
from addrcast.core.domain.resource import PoolKind
from addrcast.core.reservation.plan import Reason
from addrcast.core.reservation.plan_input import NO_POOL, UNLIMITED, PlanInput, PlanSettings, PoolColumns
from addrcast.core.reservation.pool_room import SUM, pool_counts, usable_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.record import Entry, Record
    from addrcast.core.reservation.plan import Plan
    from addrcast.core.reservation.policy import ServedNeed


@dataclass(frozen=True, slots=True)
class Round:
    """What a round of planning knows besides the ledger and the need.

    `lead_ms` is the lead window; what is preserved but past its age limit before it ends is no supply. `previous`
    is the plan before, None if there is none; `holding_prices` are by pool, 0 where one is not named.
    """

    now_ms: int
    lead_ms: int
    previous: Plan | None = None
    holding_prices: Mapping[str, float] = field(default_factory=dict)
    settings: PlanSettings = field(default_factory=PlanSettings)


class _Supply(NamedTuple):
    """One account's row of the plan's input."""

    tier: int
    preserved: int
    within_hold: int
    reserved: int
    bound: int
    quota: int
    room: int
    draws: list[int]


def plan_input_of(
    ledger: Ledger, accounts: tuple[str, ...], levels: NDArray[np.float64], served: ServedNeed, round_: Round
) -> PlanInput:
    """The input of a plan for `accounts`, in ascending order, whose need at `levels` is `served`, row by row.

    Accounts that are not declared any more are left out. An instance takes an address of each family its account
    has, so supply is counted in instances: preserved is what is so in every family, reserved and bound in any.
    What is not supply for long is left out: preserved addresses that age inside the window, reservations that are
    about to be replaced. Raises Invalid for an account whose tier means nothing.
    """
    declared = [row for row, name in enumerate(accounts) if name in ledger.accounts()]
    names = [accounts[row] for row in declared]
    reader = _Reader(ledger, round_)
    rows = [reader.supply_of(name) for name in names]
    # to a store in which nothing was ever reserved, the first plan is as large as it is
    is_first = round_.previous is None and not any(row.reserved for row in rows)
    memory = {} if round_.previous is None else _memory_of(round_.previous)
    unknown = _Memory(approved=UNLIMITED if is_first else 0)
    kept = [memory.get(name, unknown) for name in names]

    def column(values: Iterable[int]) -> NDArray[np.int32]:
        return np.fromiter(values, dtype=np.int32, count=len(rows))

    return PlanInput(
        accounts=tuple(names),
        levels=levels,
        need=served.need[declared],
        fault=served.fault[declared],
        tiers=tuple(ledger.tiers().items()),
        tier=column(row.tier for row in rows).astype(np.int16),
        preserved=column(row.preserved for row in rows),
        within_hold=column(row.within_hold for row in rows),
        reserved=column(row.reserved for row in rows),
        bound=column(row.bound for row in rows),
        quota=column(row.quota for row in rows),
        room=column(row.room for row in rows),
        pools=reader.pools,
        draws=np.array([row.draws for row in rows], dtype=np.int32).reshape(len(rows), 2 * len(Family)),
        unwanted_rounds=column(memory.unwanted_rounds for memory in kept),
        approved=column(memory.approved for memory in kept),
        wanted_before=column(memory.wanted for memory in kept),
        revision=ledger.revision,
        now_ms=round_.now_ms,
        settings=round_.settings,
    )


class _Memory(NamedTuple):
    """What is kept of an account from one plan to the next: see PlanInput."""

    unwanted_rounds: int = 0
    approved: int = 0
    wanted: int = UNLIMITED


def _memory_of(plan: Plan) -> dict[str, _Memory]:
    """By account; a fall of what is wanted that was refused is no measure for the next one."""
    approved = plan.given.reserved + plan.allowed_delta()
    wanted = np.where(plan.reason & Reason.REFUSED, plan.given.wanted_before, plan.wanted)
    memories = map(_Memory, plan.unwanted_rounds.tolist(), approved.tolist(), wanted.tolist())
    return dict(zip(plan.given.accounts, memories, strict=True))


class _Reader:
    """Reads one account after the other; `pools` are those that they compete for.

    Those are the logical pools that accounts share, each for itself, and all physical pools of a family as one,
    since a reservation may lie on any host.
    """

    def __init__(self, ledger: Ledger, round_: Round) -> None:
        self._ledger = ledger
        self._round = round_
        self._tiers = list(ledger.tiers())
        self._family: dict[str, Family] = {}
        self._own_size: dict[str, int] = {}
        blocks: dict[Family, list[str]] = defaultdict(list)
        shared: list[str] = []
        for name, entry in sorted(ledger.pools().items()):
            pool = entry.required
            self._family[name] = parse_prefix(pool.prefixes[0]).family
            if pool.kind is PoolKind.PHYSICAL:
                blocks[self._family[name]].append(name)
            elif pool.is_shared:
                shared.append(name)
            else:
                self._own_size[name] = pool_space(pool).usable.size
        joined = {family: SUM.join(names) for family, names in blocks.items()}
        self.pools = _pool_columns(ledger, (*shared, *joined.values()), round_.holding_prices)
        self._shared = {name: index for index, name in enumerate(shared)}
        self._blocks = {family: len(shared) + index for index, family in enumerate(joined)}

    def supply_of(self, name: str) -> _Supply:
        """The supply of a declared account. Raises Invalid."""
        account, tier = self._ledger.account(name).required, self._ledger.tier_of(name)
        pools: dict[Family, list[str]] = defaultdict(list)
        for pool in account.pools:
            if pool in self._family:
                pools[self._family[pool]].append(pool)
        counts = self._counts(name, list(pools))
        rooms = [self._room(family, names, counts) for family, names in pools.items()]
        now_ms, settings = self._round.now_ms, self._round.settings
        ages_ms = now_ms + self._round.lead_ms - tier.age_limit_ms
        preserved = self._younger(name, AddressState.PRESERVED, ages_ms)
        within_hold = self._younger(name, AddressState.PRESERVED, max(ages_ms, now_ms - tier.hold_ms))
        reserved = self._younger(name, AddressState.RESERVED, settings.replaced_until_ms(tier, now_ms))
        return _Supply(
            tier=self._tiers.index(account.tier),
            preserved=min((preserved[family] for family in pools), default=0),
            within_hold=min((within_hold[family] for family in pools), default=0),
            reserved=max((reserved[family] for family in pools), default=0),
            bound=max((counts[family, AddressState.BOUND] for family in pools), default=0),
            quota=UNLIMITED if account.quota is None else account.quota // max(len(pools), 1),
            room=0 if account.is_draining else min(rooms, default=0),
            draws=[drawn for family in Family for drawn in self._draws(family, pools.get(family, []))],
        )

    def _younger(self, name: str, state: AddressState, after_ms: int) -> Counter[Family]:
        """The account's addresses in a state that they came to after `after_ms`, by family."""
        records = self._ledger.in_state(name, state)
        return Counter(_family_of(entry) for entry in records if entry.required.since_ms > after_ms)

    def _counts(self, name: str, families: list[Family]) -> Counter[tuple[Family, AddressState]]:
        """The account's addresses by family and state."""
        counts: Counter[tuple[Family, AddressState]] = Counter()
        for state in AddressState:
            records = self._ledger.in_state(name, state)
            if len(families) == 1:
                counts[families[0], state] = len(records)
            else:
                counts.update((_family_of(entry), state) for entry in records)
        return counts

    def _room(self, family: Family, names: list[str], counts: Counter[tuple[Family, AddressState]]) -> int:
        """How many may lie reserved in the account's own ranges; without bound where one is shared and rationed."""
        if any(name in self._shared for name in names):
            return UNLIMITED
        others = sum(counts[family, state] for state in AddressState if state is not AddressState.RESERVED)
        size = sum(self._own_size.get(name, 0) for name in names)
        return min(max(size - others, 0), UNLIMITED)

    def _draws(self, family: Family, names: list[str]) -> tuple[int, int]:
        """The shared logical pool and the blocks that a reservation takes from, NO_POOL for none.

        Of several logical pools it is the first that has an address left, in the account's order.
        """
        if not names:
            return NO_POOL, NO_POOL
        left = [name for name in names if name not in self._shared or self.pools.free[self._shared[name]] > 0]
        first = (left or names)[0]
        return self._shared.get(first, NO_POOL), self._blocks.get(family, NO_POOL)


def _family_of(entry: Entry[Record]) -> Family:
    # no other part of the key may hold a colon
    return Family.IPV6 if ":" in entry.key else Family.IPV4


def _pool_columns(ledger: Ledger, names: tuple[str, ...], prices: Mapping[str, float]) -> PoolColumns:
    """The pools as a plan sees them: what is in use or could be; blocks on no host that is up are not there."""
    counts = [pool_counts(ledger, name) for name in names]

    def column(state: str) -> NDArray[np.int64]:
        return np.array([getattr(count, state) for count in counts], dtype=np.int64)

    free = np.array([usable_now(ledger, name) for name in names], dtype=np.int64)
    return PoolColumns(
        names=names,
        total=free + column("bound") + column("reserved") + column("preserved") + column("cooling"),
        free=free,
        reserved=column("reserved"),
        preserved=column("preserved"),
        cooling=column("cooling"),
        holding_price=np.array([max(prices.get(part, 0.0) for part in name.split(SUM)) for name in names]),
    )
