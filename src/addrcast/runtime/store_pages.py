"""A whole store page by page, and which of its keys another store can take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from addrcast.core.domain.codec import decode, encode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.keyspace import (
    ACKNOWLEDGEMENTS,
    ATTACHMENTS,
    ELECTIONS,
    EPOCH,
    HOST_REPORTS,
    HOSTS_ALIVE,
    MOVE,
    RECORDS,
)
from addrcast.core.domain.record import SCHEMA_OLDEST, SCHEMA_VERSION, Record
from addrcast.core.domain.transaction import Page
from addrcast.ports.store import Compacted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.store import Store

PAGE_ITEMS = 5_000
# what its writer says again, to whichever store it finds
PASSING = (HOSTS_ALIVE, ELECTIONS)
# what was said of the revisions and tables of one store means nothing in another, and has no place in it
_LEFT = (*PASSING, ACKNOWLEDGEMENTS, HOST_REPORTS, ATTACHMENTS)
_LEFT_WHOLE = frozenset({EPOCH, MOVE})
_OLDEST = b'{"v":%d,' % SCHEMA_OLDEST


async def pages(store: Store, *, page_items: int = PAGE_ITEMS, is_frozen: bool = False) -> AsyncGenerator[Page]:
    """All keys in order, at one revision.

    Of a frozen store only keys under leases can change, so that pages of several revisions fit together.
    Raises: Compacted where that state is gone before the last page.
    """
    after, revision = "", 0
    while True:
        try:
            page = await store.scan("", after=after, limit=page_items, revision=revision)
        except Compacted:
            if not is_frozen:
                raise
            revision = 0
            continue
        yield page
        if not page.has_more:
            return
        after, revision = page.items[-1].key, page.revision


def is_passing(item: KeyValue) -> bool:
    """Whether a key lives only as long as a process does."""
    return item.lease != 0 or item.key.startswith(PASSING)


def taken_over(item: KeyValue) -> bytes | None:
    """The value with which another store takes over a key, None where it does not.

    Revisions are the former store's: a record that was placed at one counts as placed by this write. What cannot
    be read is taken over as it is, for `check` to find.
    """
    if is_passing(item) or item.key in _LEFT_WHOLE or item.key.startswith(_LEFT):
        return None
    if not item.key.startswith(RECORDS):
        return item.value
    try:
        value = decode(item.key, item.value)
    except Invalid:
        return item.value
    if not isinstance(value, Record) or not value.placed_revision:
        return item.value
    version = SCHEMA_OLDEST if item.value.startswith(_OLDEST) else SCHEMA_VERSION
    return encode(replace(value, placed_revision=0), version)
