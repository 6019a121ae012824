"""A migration: a store is frozen, its keys go to another one and are compared, that one is left to open."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.errors import Conflict, Invalid
from addrcast.core.domain.record import EpochState, StoreEpoch, StoreMove
from addrcast.core.domain.transitions_epoch import freeze, moved, thaw
from addrcast.runtime.filling import Filling, is_being_filled, patiently, standing
from addrcast.runtime.store_pages import PAGE_ITEMS, pages, taken_over

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from addrcast.core.domain.record import Entry
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store

FREEZE_TRIES = 32


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration came to: keys taken over, their checksum on both sides, the epoch of the other store."""

    keys: int
    sha256: str
    epoch: int


class Side(msgspec.Struct, frozen=True):
    """A store and its address, which is what messages and the frozen store call it."""

    store: Store
    name: str


async def migrate(
    source: Side,
    target: Side,
    *,
    clock: Clock,
    page_items: int = PAGE_ITEMS,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Migrated:
    """Freeze the source, fill the target, compare both, open the target; interrupted anywhere, call it again.

    Every binding that was acknowledged is in the target, since it was written before the freeze or not at all. The
    source stays frozen and says where it went. Raises Invalid where it goes elsewhere, or where the target holds
    something else; Conflict where what arrived is not what was sent.
    """
    epoch, move = await _frozen(source, target.name, clock)
    there, arriving = await standing(target.store)
    if move.required.is_done and there and not arriving:
        raise Invalid("--to", target.name, f"it has been moved there already; {source.name} stays frozen")
    filling = Filling(target.store, target.name)
    mark = f"{epoch.required.epoch}@{epoch.revision}"
    value = epoch.required
    await filling.begin(
        StoreEpoch(v=value.v, epoch=value.epoch + 1, state=EpochState.FROZEN),
        StoreMove(since_ms=clock.now_ms(), source=source.name, mark=mark),
    )
    read = 0
    async for page in pages(source.store, page_items=page_items, is_frozen=True):
        await filling.add(page.items)
        read += len(page.items)
        tell(read, 0)
    keys, sha256 = await _compared(source, target, page_items)
    if not move.required.is_done:
        done = moved(epoch, move)
        await patiently(lambda: source.store.commit([done]))
        epoch, move = await standing(source.store)
        if not move or not move.required.is_done:
            raise Conflict(f"{source.name} was thawed while it moved; nothing was opened at {target.name}")
    return Migrated(keys=keys, sha256=sha256, epoch=await filling.end())


async def abort(source: Side, *, is_forced: bool = False) -> EpochState:
    """Let a frozen store go on as it was; the state in which it does.

    Raises: Invalid where it is not frozen, or where the other store may be open already, unless `is_forced`.
    """
    epoch, move = await standing(source.store)
    if not epoch or epoch.required.state is not EpochState.FROZEN or not move or is_being_filled(epoch, move):
        raise Invalid("--from", source.name, "it is not frozen by a migration")
    if move.required.is_done and not is_forced:
        rule = (
            f"all of it is at {move.required.target}, which may be in use: two stores would give the same addresses"
        )
        raise Invalid("--from", source.name, rule)
    thawing = thaw(epoch, move)
    await patiently(lambda: source.store.commit([thawing]))
    epoch, move = await standing(source.store)
    if move:
        raise Conflict(f"{source.name} was changed meanwhile; look at it again")
    return epoch.required.state


async def _frozen(source: Side, target: str, clock: Clock) -> tuple[Entry[StoreEpoch], Entry[StoreMove]]:
    """The source's epoch once it is frozen, and the note where it goes."""
    for _ in range(FREEZE_TRIES):
        epoch, move = await standing(source.store)
        if not epoch:
            raise Invalid("--from", source.name, "it has no epoch; it was never set up")
        if is_being_filled(epoch, move):
            raise Invalid("--from", source.name, f"it is being filled from {move.required.source}")
        if epoch.required.state is EpochState.FROZEN and move:
            if move.required.target != target:
                raise Invalid("--to", target, f"{source.name} moves to {move.required.target}; abort that first")
            return epoch, move
        freezing = freeze(epoch, move, target=target, now_ms=clock.now_ms()).transaction()
        await patiently(lambda freezing=freezing: source.store.commit([freezing]))  # type: ignore[misc]
    raise Conflict(f"the epoch of {source.name} changes without a pause")


async def _compared(source: Side, target: Side, page_items: int) -> tuple[int, str]:
    """How many keys both have, and their common checksum. Raises Conflict where they differ."""
    sides = [await _checksum(side.store, page_items) for side in (source, target)]
    if sides[0] != sides[1]:
        found = " and ".join(
            f"{side.name} has {keys} keys with checksum {digest[:12]}"
            for side, (keys, digest) in zip((source, target), sides, strict=True)
        )
        raise Conflict(f"{found}; empty the target, then migrate again")
    return sides[0]


async def _checksum(store: Store, page_items: int) -> tuple[int, str]:
    digest, keys = hashlib.sha256(), 0
    async for key, value in _taken_over(store, page_items):
        digest.update(b"%d %d " % (len(key), len(value)))
        digest.update(key)
        digest.update(value)
        keys += 1
    return keys, digest.hexdigest()


async def _taken_over(store: Store, page_items: int) -> AsyncIterator[tuple[bytes, bytes]]:
    async for page in pages(store, page_items=page_items, is_frozen=True):
        for item in page.items:
            value = taken_over(item)
            if value is not None:
                yield item.key.encode(), value
