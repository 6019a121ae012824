"""The model of a store: synchronous and without a clock for the simulator, and its asyncio face."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from addrcast.core.domain.errors import Invalid, Stale, Unavailable
from addrcast.core.domain.transaction import Change, Delete, Event, KeyValue, Page, Put, Result, Transaction
from addrcast.ports.store import PROGRESS_REVISIONS, Compacted, check_key, check_range, check_transactions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence


@dataclass(slots=True)
class _Lease:
    ttl_ms: int
    deadline_ms: int
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _History:
    """What stood at a key: `items[i]` since `revisions[i]`, None for absent; the last one is the present."""

    revisions: list[int]
    items: list[KeyValue | None]

    def at(self, revision: int) -> KeyValue | None:
        index = bisect_right(self.revisions, revision)
        return self.items[index - 1] if index else None

    def forget(self, revision: int) -> None:
        """Drop what was replaced at or before `revision`."""
        gone = bisect_right(self.revisions, revision) - 1
        if gone > 0:
            del self.revisions[:gone], self.items[:gone]


class ModelStore:
    """All promises of the store port as plain calls; time comes with `grant`, `keep_alive` and `expire`.

    Errors are those of the port. Every revision has one transaction, so revisions are dense.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.compacted = 0
        self._histories: dict[str, _History] = {}
        self._keys: list[str] = []
        self._log: list[Change] = []
        self._leases: dict[int, _Lease] = {}
        self._lease_count = 0

    def read(self, keys: Sequence[str]) -> Page:
        """The present values of `keys`, in key order."""
        for key in keys:
            check_key(key)
        found = (self._current(key) for key in sorted(set(keys)))
        return Page(self.revision, tuple(item for item in found if item is not None))

    def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """A page of the keys under `prefix` as they stood at `revision` (0: now)."""
        check_range(prefix, after)
        revision = revision or self.revision
        self._check_reached(revision)
        if revision < self.compacted:
            raise Compacted(self.compacted)
        found = self._items_at(revision, prefix, after)
        items = tuple(islice(found, limit)) if limit else tuple(found)
        return Page(revision, items, has_more=next(found, None) is not None)

    def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """Judge the transactions one after the other and carry out the successful ones."""
        for lease in check_transactions(transactions):
            self._lease(lease)
        return [self._judge(transaction) for transaction in transactions]

    def changes(self, prefixes: Sequence[str], *, after_revision: int, up_to: int) -> list[Change]:
        """The changes of keys with one of `prefixes` in the revisions after `after_revision` up to `up_to`."""
        if not self.compacted <= after_revision <= self.revision:
            raise Compacted(self.compacted)
        starts = tuple(prefixes)
        seen = []
        for change in self._log[after_revision - self.compacted : up_to - self.compacted]:
            events = tuple(event for event in change.events if event.key.startswith(starts))
            if events:
                seen.append(Change(change.revision, events))
        return seen

    def compact(self, revision: int) -> None:
        """Forget the changes up to and including `revision`."""
        self._check_reached(revision)
        if revision <= self.compacted:
            return
        for change in self._log[: revision - self.compacted]:
            for event in change.events:
                self._forget(event.key, revision)
        del self._log[: revision - self.compacted]
        self.compacted = revision

    def grant(self, *, ttl_ms: int, now_ms: int, lease: int = 0) -> int:
        """A lease that is over at `now_ms + ttl_ms` unless it is kept alive; `lease` numbers it, 0 is the next."""
        if ttl_ms <= 0:
            raise Invalid("ttl_ms", ttl_ms, "a lease lasts at least 1 ms")
        self._lease_count += 1
        number = lease or self._lease_count
        self._leases[number] = _Lease(ttl_ms, now_ms + ttl_ms)
        return number

    def keep_alive(self, lease: int, *, now_ms: int) -> None:
        """Begin a lease's time anew."""
        held = self._lease(lease)
        held.deadline_ms = now_ms + held.ttl_ms

    def revoke(self, lease: int) -> None:
        """End a lease and remove its keys, in one revision."""
        held = self._leases.pop(lease, None)
        if held is not None:
            self._write([Delete(key) for key in sorted(held.keys)])

    def expire(self, *, now_ms: int) -> None:
        """End the leases whose time is over, the earliest first."""
        due = [(held.deadline_ms, lease) for lease, held in self._leases.items() if held.deadline_ms <= now_ms]
        for _, lease in sorted(due):
            self.revoke(lease)

    def _judge(self, transaction: Transaction) -> Result:
        current = tuple(self._current(compare.key) for compare in transaction.compares)
        for compare, item in zip(transaction.compares, current, strict=True):
            if compare.revision != (item.mod_revision if item else 0):
                return Result(is_success=False, revision=self.revision, current=current)
        self._write(transaction.writes)
        return Result(is_success=True, revision=self.revision)

    def _write(self, writes: Sequence[Put | Delete]) -> None:
        revision = self.revision + 1
        events = []
        for write in writes:
            before = self._current(write.key)
            after = None
            if isinstance(write, Put):
                created = before.create_revision if before else revision
                after = KeyValue(write.key, write.value, created, revision, write.lease)
                events.append(Event(write.key, write.value, created, revision))
            elif before is not None:
                events.append(Event(write.key, None, 0, revision))
            else:
                continue
            self._move_lease(before, after)
            self._remember(write.key, revision, after)
        if events:
            self.revision = revision
            self._log.append(Change(revision, tuple(events)))

    def _move_lease(self, before: KeyValue | None, after: KeyValue | None) -> None:
        # the lease is gone from the table while `revoke` removes its keys
        if before is not None and before.lease in self._leases:
            self._leases[before.lease].keys.discard(before.key)
        if after is not None and after.lease:
            self._leases[after.lease].keys.add(after.key)

    def _remember(self, key: str, revision: int, item: KeyValue | None) -> None:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = _History([], [])
            insort(self._keys, key)
        history.revisions.append(revision)
        history.items.append(item)

    def _forget(self, key: str, revision: int) -> None:
        history = self._histories.get(key)
        if history is None:
            return
        history.forget(revision)
        if history.items == [None]:
            del self._histories[key]
            del self._keys[bisect_left(self._keys, key)]

    def _items_at(self, revision: int, prefix: str, after: str) -> Iterator[KeyValue]:
        begin = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        for key in islice(self._keys, begin, None):
            if not key.startswith(prefix):
                return
            item = self._histories[key].at(revision)
            if item is not None:
                yield item

    def _current(self, key: str) -> KeyValue | None:
        history = self._histories.get(key)
        return history.items[-1] if history else None

    def _lease(self, lease: int) -> _Lease:
        held = self._leases.get(lease)
        if held is None:
            raise Stale(f"lease {lease} is over; ask for a new one")
        return held

    def _check_reached(self, revision: int) -> None:
        if revision > self.revision:
            raise Invalid("revision", revision, f"the store has come to {self.revision} only")


class MemoryStore:
    """The store port over a model, for tests and small simulations.

    `now_ms` is read before every operation, and leases end then; without it they never do. Every call gives way to
    other tasks once before it acts, so that callers race as they do on a real store.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: 0, *, model: ModelStore | None = None) -> None:
        self.model = model or ModelStore()
        self._now_ms = now_ms
        self._changed = asyncio.Event()
        self._is_closed = False

    async def read(self, keys: Sequence[str]) -> Page:
        """See Store."""
        return (await self._turn()).read(keys)

    async def scan(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See Store."""
        return (await self._turn()).scan(prefix, after=after, limit=limit, revision=revision)

    async def commit(self, transactions: Sequence[Transaction]) -> list[Result]:
        """See Store."""
        model = await self._turn()
        results = model.commit(transactions)
        self._wake()
        return results

    async def watch(self, prefixes: Sequence[str], *, after_revision: int) -> AsyncGenerator[Change, None]:
        """See Store."""
        self._check_open()
        told = passed = after_revision
        while not self._is_closed:
            changed = self._changed
            up_to = min(passed + PROGRESS_REVISIONS, self.model.revision)
            changes = self.model.changes(prefixes, after_revision=passed, up_to=up_to)
            passed = max(passed, up_to)
            if not changes and passed >= told + PROGRESS_REVISIONS:
                changes = [Change(passed, ())]
            for change in changes:
                told = change.revision
                yield change
            if passed >= self.model.revision:
                await changed.wait()

    async def compact(self, revision: int) -> None:
        """See Store."""
        (await self._turn()).compact(revision)
        self._wake()

    async def grant(self, *, ttl_ms: int) -> int:
        """See Store."""
        return (await self._turn()).grant(ttl_ms=ttl_ms, now_ms=self._now_ms())

    async def keep_alive(self, lease: int) -> None:
        """See Store."""
        (await self._turn()).keep_alive(lease, now_ms=self._now_ms())

    async def revoke(self, lease: int) -> None:
        """See Store."""
        (await self._turn()).revoke(lease)
        self._wake()

    async def close(self) -> None:
        """See Store."""
        self._is_closed = True
        self._wake()

    def expire(self) -> None:
        """End the leases whose time is over; for a clock that moves while nobody calls."""
        before = self.model.revision
        self.model.expire(now_ms=self._now_ms())
        if self.model.revision > before:
            self._wake()

    async def _turn(self) -> ModelStore:
        await asyncio.sleep(0)
        self._check_open()
        self.expire()
        return self.model

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable("the memory store is closed", retry_after_ms=1000)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
