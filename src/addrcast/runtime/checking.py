"""Looks at a store in use, one after the other: what two of them see is found, what has moved meanwhile is not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.stuck import stuck
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.finding import Finding
from addrcast.core.domain.invariants import notes, violations
from addrcast.core.domain.keyspace import RECORDS
from addrcast.core.domain.ledger import Ledger
from addrcast.ports.store import Compacted
from addrcast.runtime.store_pages import PAGE_ITEMS, pages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store

PAGED_TRIES = 3


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look saw; `stuck` goes by finding to the revision of the key that did not move.

    `is_live` is whether any process was at work on the store. Where none was, nothing can be in motion, and nothing
    can be stuck either.
    """

    revision: int
    records: int
    is_live: bool
    violations: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    stuck: dict[Finding, int]

    @property
    def is_sound(self) -> bool:
        """Whether there is nothing that a second look could confirm."""
        return not (self.violations or (self.is_live and self.stuck))

    def confirms(self, before: Look) -> Look:
        """This look with what was seen in the one before, too. What is said of a violation may differ."""
        seen = {(finding.rule, finding.keys) for finding in before.violations}
        marks = {(finding.rule, finding.keys): revision for finding, revision in before.stuck.items()}
        return msgspec.structs.replace(
            self,
            violations=tuple(finding for finding in self.violations if (finding.rule, finding.keys) in seen),
            stuck={
                finding: revision
                for finding, revision in self.stuck.items()
                if marks.get((finding.rule, finding.keys)) == revision
            },
        )


async def looks(
    store: Store,
    *,
    clock: Clock,
    again_after_ms: int,
    settings: ControllerSettings | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> AsyncGenerator[Look]:
    """Look after look, each with what it and the one before have both seen; the first one is a first impression.

    `tell` is told how many keys a look has read so far.
    """
    settings = settings or ControllerSettings()
    before: Look | None = None
    while True:
        seen = await _look(store, clock, settings, tell)
        yield seen if before is None else seen.confirms(before)
        before = seen
        await clock.sleep_until(clock.now_ms() + again_after_ms)


async def _look(store: Store, clock: Clock, settings: ControllerSettings, tell: Callable[[int], None]) -> Look:
    ledger, is_live, unreadable = await _read(store, tell)
    waiting = stuck(ledger, settings, now_ms=clock.now_ms()) if is_live else ()
    return Look(
        revision=ledger.revision,
        records=sum(1 for _ in ledger.items(RECORDS)),
        is_live=is_live,
        violations=(*unreadable, *violations(ledger)),
        notes=tuple(notes(ledger)),
        stuck={each.finding: each.revision for each in waiting},
    )


async def _read(store: Store, tell: Callable[[int], None]) -> tuple[Ledger, bool, list[Finding]]:
    """Everything that can be read, at one revision; whether a process is at work; what cannot be read."""
    tries = 0
    while True:
        tries += 1
        ledger, is_live, faults, keys = Ledger(), False, list[Finding](), 0
        with suppress(Compacted):
            async for page in pages(store, page_items=PAGE_ITEMS if tries <= PAGED_TRIES else 0):
                faults += _load(ledger, page.items)
                is_live = is_live or any(item.lease for item in page.items)  # what only a running process keeps
                ledger.revision = page.revision
                keys += len(page.items)
                tell(keys)
            return ledger, is_live, faults


def _load(ledger: Ledger, items: Iterable[KeyValue]) -> list[Finding]:
    readable: list[KeyValue] = []
    faults: list[Finding] = []
    items = tuple(items)
    try:
        ledger.load(items)
    except Invalid:
        for item in items:
            fault = _fault(item)
            if fault is None:
                readable.append(item)
            else:
                faults.append(fault)
        ledger.load(readable)  # what was taken in before is not newer now
    return faults


def _fault(item: KeyValue) -> Finding | None:
    try:
        Ledger().load([item])
    except Invalid as fault:
        return Finding("readable", (item.key,), str(fault))
    return None
