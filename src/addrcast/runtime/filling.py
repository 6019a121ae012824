"""Fills an empty store with the keys of another one; interrupted, it stays frozen and can be filled on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from addrcast.core.domain.codec import entry_of
from addrcast.core.domain.errors import Conflict, Invalid, Unavailable
from addrcast.core.domain.keyspace import EPOCH, MOVE
from addrcast.core.domain.record import Entry, EpochState, StoreEpoch, StoreMove
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.core.domain.transitions_epoch import filled, filling
from addrcast.runtime.store_pages import is_passing, taken_over

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.store import Store

T = TypeVar("T")

BATCH = 1_000
TRIES = 8


class Filling:
    """One store that is filled: `begin`, `add` for all keys, `end`.

    Until `end` it is frozen, so that no role takes it for a store. `keys` counts what was taken over.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self.keys = 0

    async def begin(self, epoch: StoreEpoch, move: StoreMove) -> None:
        """Mark the store, or find the mark of an interrupted filling by the same.

        Raises: Invalid for a store that holds anything else.
        """
        present, moving = await standing(self._store)
        if present.value is None and moving.value is None:
            await self._check_empty()
            (result,) = await patiently(lambda: self._store.commit([filling(epoch, move, keys=(EPOCH, MOVE))]))
            if result.is_success:
                return
            present, moving = await standing(self._store)  # an answer that was lost, or somebody else
        if not moving or moving.required.mark != move.mark or not moving.required.source:
            raise Invalid("store", self._name, "it is not empty; take an empty one, or empty this one first")

    async def add(self, items: Iterable[KeyValue]) -> None:
        """Take over keys; those that stand there as they should are left alone. Raises Invalid for any other."""
        taken = [(item.key, value) for item in items if (value := taken_over(item)) is not None]
        for begin in range(0, len(taken), BATCH):
            batch = taken[begin : begin + BATCH]
            puts = [Transaction((Compare(key, 0),), (Put(key, value),)) for key, value in batch]
            results = await patiently(lambda puts=puts: self._store.commit(puts))  # type: ignore[misc]
            for (key, value), result in zip(batch, results, strict=True):
                there = None if result.is_success else result.current[0]
                if there is not None and there.value != value:
                    raise Invalid(
                        "store", self._name, f"{key} stands there with another value; empty the store first"
                    )
        self.keys += len(taken)

    async def end(self) -> int:
        """Close the store, which ends its filling; the epoch in which it is closed."""
        while True:
            epoch, move = await standing(self._store)
            if epoch and not move:  # the answer of an earlier try was lost
                return epoch.required.epoch
            await patiently(lambda: self._store.commit([filled(epoch, move)]))  # noqa: B023

    async def _check_empty(self) -> None:
        after = ""
        while True:
            page = await patiently(lambda: self._store.scan("", after=after, limit=BATCH))  # noqa: B023
            kept = [item.key for item in page.items if not is_passing(item)]
            if kept:
                raise Invalid("store", self._name, f"it is not empty, {kept[0]} is there; take an empty one")
            if not page.has_more:
                return
            after = page.items[-1].key


async def standing(store: Store) -> tuple[Entry[StoreEpoch], Entry[StoreMove]]:
    """The epoch of a store, and whether it moves."""
    found = {item.key: item for item in (await patiently(lambda: store.read([EPOCH, MOVE]))).items}
    return entry_of(StoreEpoch, EPOCH, found.get(EPOCH)), entry_of(StoreMove, MOVE, found.get(MOVE))


def is_being_filled(epoch: Entry[StoreEpoch], move: Entry[StoreMove]) -> bool:
    """Whether a store holds but a part of what it shall."""
    return bool(epoch and move and move.required.source) and epoch.required.state is EpochState.FROZEN


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` answers, asked again while the store is away; it must be something that may happen twice."""
    for attempt in range(TRIES):
        try:
            return await ask()
        except Unavailable as away:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(away.retry_after_ms / 1000)
    raise Conflict("unreachable")
