"""Stores that are broken on purpose, to see that a run finds it: each breaks one promise of the port."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import OutcomeUnknown
from addrcast.core.domain.keyspace import INSTANCES, PHYSICALS
from addrcast.core.domain.transaction import Compare, Page, Result, Transaction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from addrcast.core.domain.transaction import Change
    from addrcast.ports.store import Store


class SoundStore:
    """The store port over another store; the others differ from it in one thing each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dice = Random("broken")

    async def read(self, keys: Sequence[str]) -> Page:
        return await self._store.read(keys)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        return await self._store.scan(prefix, after=after, limit=limit, revision=revision)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        return await self._store.commit(transactions)

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        async for change in self._store.watch(prefixes, after_revision=after_revision):
            yield change

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def grant(self, *, ttl_ms: int) -> int:
        return await self._store.grant(ttl_ms=ttl_ms)

    async def keep_alive(self, lease: int) -> None:
        await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        await self._store.revoke(lease)

    async def close(self) -> None:
        await self._store.close()


class HopefulStore(SoundStore):
    """Takes a transaction of unknown outcome for carried out."""

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        try:
            return await super().commit(transactions)
        except OutcomeUnknown:
            newest = (await self.read(["store_epoch"])).revision
            return [Result(is_success=True, revision=newest) for _ in transactions]


class StaleStore(SoundStore):
    """Now and then reads what it read before."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._known: dict[tuple[str, ...], Page] = {}

    async def read(self, keys: Sequence[str]) -> Page:
        known = self._known.get(tuple(keys))
        if known is not None and self._dice.random() < 0.05:
            return known
        page = self._known[tuple(keys)] = await super().read(keys)
        return page


class ForgetfulStore(SoundStore):
    """Leaves out a change of the watch now and then."""

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        async for change in super().watch(prefixes, after_revision=after_revision):
            if self._dice.random() > 0.002:
                yield change


class StutteringStore(SoundStore):
    """Tells of a change twice now and then."""

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        async for change in super().watch(prefixes, after_revision=after_revision):
            yield change
            if self._dice.random() < 0.002:
                yield change


class CarelessStore(SoundStore):
    """Does not compare the keys of one kind."""

    def __init__(self, store: Store, kind: str) -> None:
        super().__init__(store)
        self._kind = kind

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        careless = []
        for transaction in transactions:
            compares = tuple(each for each in transaction.compares if not self._passes_over(each))
            careless.append(Transaction(compares, transaction.writes))
        results = await super().commit(careless)
        return [
            result if result.is_success else await self._judged(transaction, result)
            for transaction, result in zip(transactions, results, strict=True)
        ]

    def _passes_over(self, compare: Compare) -> bool:
        return compare.key.startswith(self._kind)

    async def _judged(self, transaction: Transaction, result: Result) -> Result:
        """What stands at the keys that were not compared is read, so that their retry can learn it."""
        missing = [compare.key for compare in transaction.compares if self._passes_over(compare)]
        read = {item.key: item for item in (await self.read(missing)).items} if missing else {}
        known = iter(result.current)
        current = tuple(
            read.get(compare.key) if self._passes_over(compare) else next(known) for compare in transaction.compares
        )
        return Result(is_success=False, revision=result.revision, current=current)


BROKEN: dict[str, Callable[[Store], Store]] = {
    "hopeful": HopefulStore,
    "stale": StaleStore,
    "forgetful": ForgetfulStore,
    "stuttering": StutteringStore,
    "no-compare-on-instances": lambda store: CarelessStore(store, INSTANCES),
    "no-compare-on-physicals": lambda store: CarelessStore(store, PHYSICALS),
}
