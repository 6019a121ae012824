"""The notes of removals on Consul, and forgetting the old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.adapters.stores.consul_wire import OPERATIONS_MAX, Operation, encode
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.adapters.stores.consul_http import ConsulHttp
    from addrcast.adapters.stores.consul_read import Reader
    from addrcast.adapters.stores.consul_wire import Entry, Layout

REMOVALS_MAX = 2_000
_AT_ONCE = OPERATIONS_MAX // 2


class Removals:
    """A watch learns of removals by notes; where some are forgotten, it can no longer begin before them."""

    def __init__(self, http: ConsulHttp, layout: Layout, reader: Reader) -> None:
        self._http = http
        self._layout = layout
        self._reader = reader

    async def compact(self, revision: int) -> None:
        """See Store.compact: forget the removals up to and including a revision."""
        newest, _ = await self._reader.revision()
        if revision > newest:
            raise Invalid("revision", revision, f"the store has come to {newest} only")
        if await self._forget_up_to(revision):
            (noted,) = await self._reader.entries(self._layout.removed)
            await self._drop([entry for entry in noted if entry.modify_index <= revision])

    async def trim(self) -> None:
        """Keep the newest half where there are more than 2,000."""
        (noted,) = await self._reader.entries(self._layout.removed)
        if len(noted) > REMOVALS_MAX:
            noted.sort(key=lambda entry: entry.modify_index)
            await self.compact(noted[-REMOVALS_MAX // 2].modify_index - 1)

    async def _forget_up_to(self, revision: int) -> bool:
        """Tell first that it is forgotten, so that no watch begins before it; False where it was so already."""
        place = self._layout.compacted
        while True:
            (found,) = await self._reader.entries(place)
            told = next((entry for entry in found if entry.key == place), None)
            if told is not None and int(told.value or b"0") >= revision:
                return False
            index = told.modify_index if told is not None else 0
            answer = await self._http.write([encode(Operation("cas", place, b"%d" % revision, index=index))])
            if not answer.errors:
                return True

    async def _drop(self, notes: Sequence[Entry]) -> None:
        left = list(notes)
        while left:
            some = left[:_AT_ONCE]
            checks = [encode(Operation("check-index", note.key, index=note.modify_index)) for note in some]
            deletes = [encode(Operation("delete", note.key)) for note in some]
            answer = await self._http.write(checks + deletes)
            # who is not there any more, or tells of a later removal, is nothing to be dropped
            refused = {error.op_index for error in answer.errors or ()}
            kept = [note for number, note in enumerate(some) if number not in refused] if refused else []
            left[: len(some)] = kept
