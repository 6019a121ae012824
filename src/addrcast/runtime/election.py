"""A controller's candidacy on a store: agrees on the number of shards, claims some, gives some up."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from addrcast.core.controller.candidacy import Candidacy
from addrcast.core.controller.standing import SHARDS, Standing, candidate_key
from addrcast.core.controller.territory import SHARDS_MAX, Territory
from addrcast.core.domain.errors import Conflict, Invalid, Stale, Unavailable
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.ports.store import Compacted
from addrcast.runtime.lease import first_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from addrcast.core.controller.candidacy import CandidacySettings, Moves
    from addrcast.core.domain.transaction import Result
    from addrcast.ports.store import Store
    from addrcast.runtime.lease import Lease

log = logging.getLogger(__name__)

DEFAULT_SHARDS = 16
_RETRY_S = 0.2


class ShardElection:
    """Stands for all shards of one store under one lease.

    `tell` gets the territory whenever it is another. It is told of a shard's loss before the shard is given up, and
    may learn late of one that was taken away: every write that the fences are for carries them. All shards are
    resigned in one moment when the lease is revoked.
    """

    def __init__(
        self,
        store: Store,
        lease: Lease,
        *,
        candidate: str,
        tell: Callable[[Territory], None],
        shards: int | None = None,
        settings: CandidacySettings | None = None,
    ) -> None:
        self.standing = Standing()
        self._store = store
        self._lease = lease
        self._name = candidate
        # one name may be used twice, a lease is not
        self._candidacy = Candidacy(f"{candidate} {lease.number}", settings)
        self._tell = tell
        self._told = Territory()
        self._shards = shards
        self._moved = asyncio.Event()
        self._noted = ""

    async def run(self) -> None:
        """Stand until the lease is lost, or until cancelled. Raises Invalid for a number that cannot be."""
        if self._shards is not None:
            check_shards(self._shards)
        await first_of(self._lease.lost(), self._follow(), self._act())

    async def _follow(self) -> None:
        try:
            await self._announce()
        except Stale:  # the lease is over
            return
        while True:
            try:
                with suppress(Compacted):
                    await self._watch()
            except Unavailable:  # the lease decides how long that may last
                await asyncio.sleep(_RETRY_S)

    async def _announce(self) -> None:
        key, number = candidate_key(self._lease.number), self._lease.number
        put = Transaction((), (Put(key, self._candidacy.candidate.encode(), number),))
        while True:
            try:
                await self._store.commit([put])
            except Unavailable:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _watch(self) -> None:
        page = await self._store.scan(SHARDS)
        self.standing = Standing.from_items(page.items)
        self._moved.set()
        async with aclosing(self._store.watch([SHARDS], after_revision=page.revision)) as changes:
            async for change in changes:
                for event in change.events:
                    self.standing.apply(event.key, event.value, event.mod_revision)
                self._moved.set()

    async def _act(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            deadline_ms = self._candidacy.deadline_ms(round(loop.time() * 1000))
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if deadline_ms is None else deadline_ms / 1000):
                    await self._moved.wait()
            self._moved.clear()
            try:
                if not self.standing.shards:
                    await self._agree()
                moves = self._candidacy.step(self.standing, round(loop.time() * 1000))
                await self._move(moves)
            except Stale:  # the lease is over
                return
            except Unavailable:  # what was done of it shows in the watch
                await asyncio.sleep(_RETRY_S)
                self._moved.set()

    async def _agree(self) -> None:
        """Propose a number where none stands; whoever is first sets it for all."""
        standing = self.standing
        if standing.number_revision:
            self._note("waits: a controller without shards leads, or one newer than this set their number")
        else:
            (result,) = await self._store.commit([standing.renumbering(self._shards or DEFAULT_SHARDS)])
            if result.is_success:
                log.info("controllers go by %d shards from now on", self._shards or DEFAULT_SHARDS)

    async def _move(self, moves: Moves) -> None:
        standing, me = self.standing, self._candidacy.candidate
        if standing.shards and self._shards not in {None, standing.shards}:
            self._note(
                f"goes by the {standing.shards} shards that the store has, not by {self._shards} as it was told"
            )
        territory = standing.territory_of(me)
        if moves.resigned is not None:
            rest = {shard: fence for shard, fence in territory.fences.items() if shard != moves.resigned}
            self._report(Territory(territory.shards, rest))
            await self._store.commit([standing.resignation(moves.resigned)])
            return
        self._report(territory)
        if moves.claims:
            claims = [standing.claim(shard, me, lease=self._lease.number) for shard in moves.claims]
            self._learn(claims, await self._store.commit(claims))
            self._report(self.standing.territory_of(me))

    def _learn(self, claims: list[Transaction], results: list[Result]) -> None:
        """Know what was won before the watch shows it; what was lost it will show."""
        for claim, result in zip(claims, results, strict=True):
            (put,) = claim.writes
            if result.is_success and isinstance(put, Put):
                self.standing.apply(put.key, put.value, result.revision)

    def _report(self, territory: Territory) -> None:
        if territory != self._told and (territory.fences or self._told.fences):
            self._told = territory
            led = ", ".join(map(str, territory.fences)) or "none"
            log.info("controller %s leads of %d shards: %s", self._name, territory.shards, led)
            self._tell(territory)

    def _note(self, what: str) -> None:
        if what != self._noted:
            self._noted = what
            log.warning("controller %s %s", self._name, what)


async def renumber(store: Store, shards: int) -> int:
    """Divide the accounts of a store into another number of shards; answers the former one, 0 for none.

    All leaders lose their shards in the moment in which it changes, and stand anew. Nothing happens where the
    number is that already.

    Raises: Invalid; Conflict where controllers without shards run, or another changed it meanwhile.
    """
    check_shards(shards)
    standing = Standing.from_items((await store.scan(SHARDS)).items)
    if standing.shards == shards:
        return shards
    if standing.number_revision and not standing.shards:
        raise Conflict("a controller of a version without shards leads; stop those first")
    (result,) = await store.commit([standing.renumbering(shards)])
    if not result.is_success:
        raise Conflict("the number of shards was changed meanwhile: look at it, then change it again")
    return standing.shards


def check_shards(shards: int) -> None:
    """Raise Invalid for a number of shards that cannot be."""
    if not 1 <= shards <= SHARDS_MAX:
        raise Invalid("shards", shards, f"1 to {SHARDS_MAX} are possible")
