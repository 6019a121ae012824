"""The switch of a store to the newest version of the schema, which all its writers take at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from addrcast.core.domain.errors import Conflict, Invalid
from addrcast.core.domain.keyspace import HOSTS_ALIVE
from addrcast.core.domain.record import SCHEMA_VERSION
from addrcast.core.domain.transitions_epoch import switch_schema
from addrcast.runtime.filling import patiently, standing

if TYPE_CHECKING:
    from addrcast.ports.store import Store

TRIES = 32
PAGE_ITEMS = 10_000
NAMED_MAX = 5


class Upgraded(msgspec.Struct, frozen=True, kw_only=True):
    """The version in which the store was written, and in which it is now."""

    before: int
    after: int


async def upgrade(store: Store, *, is_forced: bool = False) -> Upgraded:
    """Let everybody write the newest version from here on.

    Raises: Invalid where the store was never set up, or a host is alive whose agent does not say that it can read
    that version, unless `is_forced`; Unavailable unless the store is open.
    """
    for _ in range(TRIES):
        epoch, _move = await standing(store)
        if not epoch:
            raise Invalid("store", epoch.key, "it has no epoch; it was never set up")
        before = epoch.required.v
        if before == SCHEMA_VERSION:
            return Upgraded(before=before, after=before)
        old = [] if is_forced else await _old_hosts(store)
        if old:
            named = ", ".join(old[:NAMED_MAX])
            rule = f"their agents cannot read version {SCHEMA_VERSION}; upgrade them first, or --force"
            raise Invalid("hosts", named + (" ..." if len(old) > NAMED_MAX else ""), rule)
        switching = switch_schema(epoch, version=SCHEMA_VERSION).transaction()
        (result,) = await patiently(lambda switching=switching: store.commit([switching]))  # type: ignore[misc]
        if result.is_success:
            return Upgraded(before=before, after=SCHEMA_VERSION)
    raise Conflict("the epoch changes without a pause")


async def _old_hosts(store: Store) -> list[str]:
    """The hosts whose sign of life is not that of an agent which reads the newest version."""
    old: list[str] = []
    after, has_more = "", True
    while has_more:
        page = await store.scan(HOSTS_ALIVE, after=after, limit=PAGE_ITEMS)
        old += [item.key[len(HOSTS_ALIVE) :] for item in page.items if not _reads_newest(item.value)]
        has_more = page.has_more
        after = page.items[-1].key if page.items else after
    return old


def _reads_newest(said: bytes) -> bool:
    return said.isdigit() and int(said) >= SCHEMA_VERSION
