"""Free addresses for one batch of steps: each is handed out once, though the ledger does not change meanwhile."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import islice
from typing import TYPE_CHECKING

from addrcast.core.domain.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from addrcast.core.domain.address import Family, Prefix
    from addrcast.core.domain.ledger import Ledger


class FreePairs:
    """The free logical and physical addresses of a ledger, less those already taken for this batch.

    `offset` is where each search begins, so that replicas with different offsets do not race for the same ones.
    """

    def __init__(self, ledger: Ledger, *, offset: int = 0) -> None:
        self._ledger = ledger
        self._offset = offset
        self._taken: dict[str, set[str]] = defaultdict(set)  # by pool that accounts share
        self._physicals: dict[tuple[str, Family], Iterator[str]] = {}
        self._waiting: dict[tuple[str, Family], deque[str]] = defaultdict(deque)

    def room_on(self, host: str, family: Family, *, enough: int) -> int:
        """How many physical addresses are free on a host, counted up to `enough`."""
        place = (host, family)
        if place not in self._physicals:
            self._physicals[place] = self._ledger.free_physicals(host, family=family, offset=self._offset)
        waiting = self._waiting[place]
        waiting.extend(islice(self._physicals[place], max(enough - len(waiting), 0)))
        return min(len(waiting), enough)

    def take_physical(self, host: str, family: Family) -> str:
        """A physical address among those that `room_on` counted."""
        return self._waiting[host, family].popleft()

    def take_logicals(
        self, account: str, pool: str, count: int, *, prefer: Sequence[Prefix], is_contiguous: bool
    ) -> list[str]:
        """Up to `count` logical addresses, preferred prefixes first.

        Neighbours in ascending order where they are asked for and there are as many in a row; if others have taken
        some of them in this batch there are none, and the next batch finds the next row.
        """
        taken = self._taken[pool] if self._ledger.pool(pool).required.is_shared else set()
        run = self._ledger.free_logical_run(account, pool, count, prefer=prefer) if is_contiguous else None
        if run is not None:
            found = [] if not taken.isdisjoint(run) else run
        else:
            free = self._ledger.free_logicals(account, pool, prefer=prefer, offset=self._offset)
            found = list(islice((logical for logical in free if logical not in taken), count))
            if is_contiguous:
                found.sort(key=parse_address)
        taken.update(found)
        return found
