"""What a plan is made from: needs, tiers, supply, pools, the last round, settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.resource import MINUTE_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from addrcast.core.domain.resource import Tier

UNLIMITED = int(np.iinfo(np.int32).max)
"""A quota or a room without bound."""

NO_POOL = -1
"""Stands in `draws` where an account draws on fewer pools than others."""


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """How a plan damps small changes and which bulk changes it refuses.

    A surplus of at most `dead_band` addresses, or of `dead_band_share` of what lies idle, is kept until it has been
    unwanted for `unwanted_rounds_max` rounds. A plan that gives back more than `shrink_share_max` of all that lies
    idle, or takes more than `grow_share_max` of a pool beyond what plans before were let take, is refused in that
    direction; changes of at most `small_change` addresses never are. The plan expires `ttl_ms` after it was made.
    """

    dead_band: int = 1
    dead_band_share: float = 0.1
    unwanted_rounds_max: int = 3
    shrink_share_max: float = 0.3
    grow_share_max: float = 0.5
    small_change: int = 64
    ttl_ms: int = 10 * MINUTE_MS

    def replaced_until_ms(self, tier: Tier, now_ms: int) -> int:
        """Reservations of a tier that were made no later than this are replaced, and count as gone.

        They are in the last tenth of the tier's age limit, of which a plan's time to live is enough.
        """
        return now_ms + min(self.ttl_ms, tier.age_limit_ms // 10) - tier.age_limit_ms


@dataclass(frozen=True, slots=True, eq=False)
class PoolColumns:
    """G pools that accounts compete for, logical or physical; each column is `(G,)`, int64 but for the price.

    `reserved` counts the reservations of the planned accounts. `holding_price` (float64) is what one idle address
    costs over the lead window, in the unit of the tiers' weights.
    """

    names: tuple[str, ...]
    total: NDArray[np.int64]
    free: NDArray[np.int64]
    reserved: NDArray[np.int64]
    preserved: NDArray[np.int64]
    cooling: NDArray[np.int64]
    holding_price: NDArray[np.float64]

    def reservable(self, headroom: float) -> NDArray[np.int64]:
        """What plans may hold reserved in each pool, int64 `(G,)`, if the share `headroom` of it is left.

        What is cooling comes free without a plan's doing; leaving it out would make each give-back look like
        scarcity and cause the next one.
        """
        held_or_coming = self.free + self.reserved + self.cooling
        return np.asarray(np.maximum(held_or_coming - self.left_free(headroom), 0))

    def left_free(self, headroom: float) -> NDArray[np.int64]:
        """The addresses of each pool that make up the share `headroom`, rounded up, int64 `(G,)`."""
        return np.asarray(np.ceil(headroom * self.total - 1e-9), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class PlanInput:
    """N accounts in ascending order of id, with everything that decides on their reservations.

    `need` is float32 `(N, Q)`, quantiles of the need in the lead window at `levels` `(Q,)`; `fault` uint8 `(N,)`
    says which of them the reorder point gave, and why. `tier` `(N,)` is an index into `tiers`. `preserved` (to the
    end of the window), `within_hold` (how many of them are the account's whatever a plan says), `reserved` (but for
    those about to be replaced), `bound`, `quota` (of bound + reserved + preserved) and `room` (how many may lie
    reserved in the account's own ranges under its preferences; 0 while it drains) are int32 `(N,)`; UNLIMITED is no
    bound. `draws` is int32 `(N, D)`: one reservation takes one address of each of these pools, NO_POOL is none.
    Three columns come from the plan before, int32 `(N,)`: `unwanted_rounds`, `approved` (what each account was let
    reserve) and `wanted_before` (what it wanted idle in the last plan that was not refused it; UNLIMITED is none).
    `revision` is the store's at which the counts were read.
    """

    accounts: tuple[str, ...]
    levels: NDArray[np.float64]
    need: NDArray[np.float32]
    fault: NDArray[np.uint8]
    tiers: tuple[tuple[str, Tier], ...]
    tier: NDArray[np.int16]
    preserved: NDArray[np.int32]
    within_hold: NDArray[np.int32]
    reserved: NDArray[np.int32]
    bound: NDArray[np.int32]
    quota: NDArray[np.int32]
    room: NDArray[np.int32]
    pools: PoolColumns
    draws: NDArray[np.int32]
    unwanted_rounds: NDArray[np.int32]
    approved: NDArray[np.int32]
    wanted_before: NDArray[np.int32]
    revision: int
    now_ms: int
    settings: PlanSettings = field(default_factory=PlanSettings)

    def __post_init__(self) -> None:
        self._check_shapes()
        if any(left >= right for left, right in pairwise(self.accounts)):
            raise Invalid("accounts", "out of order", "ids rise strictly, so that ties have one order")
        if len(self.accounts) and not 0 <= int(self.tier.min()) <= int(self.tier.max()) < len(self.tiers):
            raise Invalid("tier", int(self.tier.max()), f"an index below {len(self.tiers)}")
        if self.draws.size and not -1 <= int(self.draws.min()) <= int(self.draws.max()) < len(self.pools.names):
            raise Invalid("draws", int(self.draws.max()), f"an index below {len(self.pools.names)}, or {NO_POOL}")
        for left, right in combinations(self.draws.T, 2):
            if np.any((left == right) & (left != NO_POOL)):
                raise Invalid("draws", "a pool twice", "a reservation takes one address of each pool")
        for name, tier in self.tiers:
            if not (0 < tier.service_level < 1 and 0 < tier.weight < float("inf") and 0 <= tier.headroom <= 1):
                raise Invalid(f"tier {name}", tier, "0 < service_level < 1, weight > 0 and 0 <= headroom <= 1")

    def _check_shapes(self) -> None:
        size = (len(self.accounts),)
        for name in (
            "fault", "tier", "preserved", "within_hold", "reserved", "bound", "quota", "room", "unwanted_rounds",
            "approved", "wanted_before",
        ):  # fmt: skip
            shape = getattr(self, name).shape
            if shape != size:
                raise Invalid(name, shape, f"shape {size} is expected")
        if self.need.shape != (*size, len(self.levels)):
            raise Invalid("need", self.need.shape, f"shape ({size[0]}, {len(self.levels)}) is expected")
        if self.draws.ndim != 2 or self.draws.shape[0] != size[0]:
            raise Invalid("draws", self.draws.shape, f"shape ({size[0]}, pools drawn on) is expected")

    def weights(self) -> NDArray[np.float64]:
        """The weight of each account's tier, `(N,)`."""
        return np.array([tier.weight for _, tier in self.tiers])[self.tier]

    def holding_prices(self) -> NDArray[np.float64]:
        """What one idle address costs each account, summed over the pools it draws on, `(N,)`."""
        with_none = np.append(self.pools.holding_price, 0.0)
        return np.asarray(with_none[self.draws].sum(axis=1))

    def quota_room(self) -> NDArray[np.int32]:
        """How many addresses each account may hold reserved under its quota, `(N,)`."""
        used = self.bound.astype(np.int64) + self.preserved
        return np.where(self.quota == UNLIMITED, UNLIMITED, np.maximum(self.quota - used, 0)).astype(np.int32)

    def draw_sums(self, counts: NDArray[np.int32]) -> NDArray[np.int64]:
        """What `counts[a]` reservations of each account a take from each pool, int64 `(G,)`."""
        taken = np.zeros(len(self.pools.names), dtype=np.int64)
        for pool in self.draws.T:
            # from NO_POOL on; float64 sums are exact here, since the counts of a pool stay far below 2**53
            sums = np.bincount(pool - NO_POOL, weights=counts, minlength=len(taken) + 1)
            taken += sums[1:].astype(np.int64)
        return taken

    def ranks(self) -> NDArray[np.int32]:
        """The rank of each account's tier, `(N,)`, 0 first."""
        return np.array([tier.rank for _, tier in self.tiers], dtype=np.int32)[self.tier]

    def headroom_of(self, rank: int) -> float:
        """The share of a pool that plans of `rank` leave free: the largest of this rank and of the ranks before it.

        A lower rank may so never fill what a higher one has to leave.
        """
        return max((tier.headroom for _, tier in self.tiers if tier.rank <= rank), default=0.0)
