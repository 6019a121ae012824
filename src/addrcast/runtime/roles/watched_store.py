"""A store that a role watches over: whether it is there, since when it is not, and how long to wait for it."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, TypeVar

from addrcast.core.domain.errors import AddrcastError, OutcomeUnknown, Unavailable
from addrcast.core.domain.keyspace import EPOCH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from addrcast.core.domain.transaction import Change, Page, Result, Transaction
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE_MIN_MS, PAUSE_MAX_MS = 50, 3_000
SAY_EVERY_MS = 10_000


class StoreHealth:
    """Whether a store answers, told by the calls of everybody who uses it; says so in the log, but not too often.

    `on_change` is called when it goes and when it comes back.
    """

    def __init__(self, address: str, clock: Clock, *, on_change: Callable[[], None] = lambda: None) -> None:
        self.address = address
        self.away_since_ms: int | None = None
        self.what = ""
        self.on_change = on_change
        self.went = asyncio.Event()
        self._clock = clock
        self._said_ms = 0
        self._answered_s = 0.0

    def is_away(self) -> bool:
        """Whether the last call was not answered."""
        return self.away_since_ms is not None

    def note_away(self, what: str) -> None:
        """A call was not answered."""
        now_ms = self._clock.now_ms()
        self.what = what
        if self.away_since_ms is None:
            self.away_since_ms = now_ms
            self._said_ms = now_ms
            log.warning("the store %s does not answer: %s", self.address, what)
            self.went.set()
            self.on_change()
        elif now_ms - self._said_ms >= SAY_EVERY_MS:
            self._said_ms = now_ms
            seconds = (now_ms - self.away_since_ms) // 1_000
            log.warning("the store %s has not answered for %d s: %s", self.address, seconds, what)

    def note_answer(self) -> None:
        """A call was answered."""
        self._answered_s = time.monotonic()
        if self.away_since_ms is None:
            return
        seconds = (self._clock.now_ms() - self.away_since_ms) / 1_000
        self.away_since_ms = None
        self.went.clear()
        log.info("the store %s answers again, after %.1f s", self.address, seconds)
        self.on_change()

    def pause_ms(self) -> int:
        """How long to wait before the next try: longer the longer it is away, and not in step with others."""
        away_ms = 0 if self.away_since_ms is None else max(0, self._clock.now_ms() - self.away_since_ms)
        pause_ms = min(PAUSE_MAX_MS, max(PAUSE_MIN_MS, away_ms // 2))
        return random.randint(pause_ms // 2, pause_ms)  # noqa: S311 - spreads load, keeps no secret

    def refusal(self, away: Unavailable, *, begun_s: float = math.inf) -> Unavailable:
        """Note a call that was not answered; the same error with our pause.

        A call that was begun, by the monotonic clock, before another one was answered says nothing new.
        """
        what = str(away).removesuffix(f"; try again in {away.retry_after_ms} ms")
        if begun_s >= self._answered_s:
            self.note_away(what)
        kind = OutcomeUnknown if isinstance(away, OutcomeUnknown) else Unavailable
        return kind(what, retry_after_ms=self.pause_ms())

    async def probe(self, store: Store) -> None:
        """While the store is away, ask it for something until it answers; nobody else might for a long time."""
        while True:
            await self.went.wait()
            await asyncio.sleep(self.pause_ms() / 1_000)
            with suppress(AddrcastError):
                await store.read([EPOCH])


class WatchedStore:
    """The store port over another store, whose answers are noted.

    Where `is_patient`, a call that fails comes back only after the pause: for callers that would try again by a
    clock of their own, many of them in step.
    """

    def __init__(self, store: Store, health: StoreHealth, *, is_patient: bool = False) -> None:
        self.health = health
        self._store = store
        self._is_patient = is_patient

    async def read(self, keys: Sequence[str]) -> Page:
        """See Store."""
        return await self._noted(self._store.read(keys))

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See Store."""
        return await self._noted(self._store.scan(prefix, after=after, limit=limit, revision=revision))

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """See Store."""
        return await self._noted(self._store.commit(transactions))

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store."""
        try:
            async with aclosing(self._store.watch(prefixes, after_revision=after_revision)) as changes:
                async for change in changes:
                    self.health.note_answer()
                    yield change
        except Unavailable as away:
            refusal = self.health.refusal(away)
            await self._linger(refusal)
            raise refusal from away

    async def compact(self, revision: int) -> None:
        """See Store."""
        await self._noted(self._store.compact(revision))

    async def grant(self, *, ttl_ms: int) -> int:
        """See Store."""
        return await self._noted(self._store.grant(ttl_ms=ttl_ms))

    async def keep_alive(self, lease: int) -> None:
        """See Store."""
        await self._noted(self._store.keep_alive(lease))

    async def revoke(self, lease: int) -> None:
        """See Store."""
        await self._noted(self._store.revoke(lease))

    async def close(self) -> None:
        """See Store."""
        await self._store.close()

    async def _noted(self, call: Awaitable[T]) -> T:
        begun_s = time.monotonic()
        try:
            answer = await call
        except Unavailable as away:
            refusal = self.health.refusal(away, begun_s=begun_s)
            await self._linger(refusal)
            raise refusal from away
        except AddrcastError:
            self.health.note_answer()
            raise
        self.health.note_answer()
        return answer

    async def _linger(self, refusal: Unavailable) -> None:
        if self._is_patient:
            await asyncio.sleep(refusal.retry_after_ms / 1_000)
