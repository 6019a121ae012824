"""A restore: an empty store gets what a backup holds, in a new epoch, closed until its hosts were heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.record import EpochState, StoreEpoch, StoreMove
from addrcast.runtime.filling import Filling

if TYPE_CHECKING:
    from collections.abc import Callable

    from addrcast.adapters.backup_file import Backup
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore came to: the keys that were taken over, the epoch in which the store is closed."""

    keys: int
    epoch: int


async def restore(
    backup: Backup,
    store: Store,
    *,
    clock: Clock,
    name: str,
    above_epoch: int = 0,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> Restored:
    """Fill an empty store, or go on where a restore of the same backup was interrupted.

    `above_epoch` is the highest epoch that hosts may have seen, where that is more than the backup's. Interrupted,
    it leaves a store that nobody takes for whole. Raises Invalid for a store that holds anything else.
    """
    header, trailer = backup.header, backup.trailer
    # written in the version in which the backup's processes can go on reading it
    epoch = StoreEpoch(v=header.schema, epoch=max(header.epoch, above_epoch) + 1, state=EpochState.FROZEN)
    filling = Filling(store, name)
    await filling.begin(
        epoch, StoreMove(since_ms=clock.now_ms(), source=f"a backup of {header.store}", mark=trailer.sha256)
    )
    read = 0
    for items in backup.pages():
        await filling.add(items)
        read += len(items)
        tell(read, trailer.keys)
    return Restored(keys=filling.keys, epoch=await filling.end())
