"""Puts what operators declare (tiers, pools, hosts, accounts) into a store, checked against what stands there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from addrcast.core.domain.address import parse_prefix
from addrcast.core.domain.codec import encode
from addrcast.core.domain.declarations import Declarations, Resource
from addrcast.core.domain.errors import Conflict, Invalid, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.keyspace import EPOCH, tier_key
from addrcast.core.domain.ledger import Ledger
from addrcast.core.domain.record import EpochState, Host, StoreEpoch, Value
from addrcast.core.domain.resource import DEFAULT_TIERS, Declared
from addrcast.core.domain.transaction import Compare, Put, Transaction
from addrcast.core.domain.transitions import Draft
from addrcast.ports.store import Compacted
from addrcast.runtime.view import PREFIXES, scan_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.core.domain.record import Entry
    from addrcast.ports.store import Store

__all__ = ["Resource", "declare", "set_up", "standing"]

CLOSED_RETRY_MS = 5_000
BATCH_MAX = 32
LOSSES_MAX = 32


async def set_up(store: Store) -> None:
    """Give a new store its epoch and the default tiers; one that has an epoch stays as it is."""
    tiers = [Put(tier_key(name), encode(tier)) for name, tier in DEFAULT_TIERS.items()]
    # at once and only then: a store of an older schema, or one that is being filled, must not get newer tiers
    first = (Put(EPOCH, encode(StoreEpoch(epoch=1))), *tiers)
    await store.commit([Transaction((Compare(EPOCH, 0),), first)])


async def standing(store: Store) -> Ledger:
    """Everything in a store as it stands. Raises Invalid where it was not set up."""
    while True:
        with suppress(Compacted):
            revision, items = await scan_all(store, PREFIXES)
            ledger = Ledger.from_items(items, revision)
            if ledger.epoch.value is None:
                raise Invalid("store", EPOCH, "it has no epoch yet; set it up first")
            return ledger


async def declare(store: Store, resources: Iterable[tuple[str, Resource]]) -> None:
    """Write resources by name, in order, so that a later one may build on an earlier one.

    One that stands as it is declared is left alone. Of a host that is known only the blocks are declared, and
    whether it drains: its state and incarnation are its own. Whoever declares something else at once is not in the
    way: what loses that race is judged anew, a bounded number of times.

    Raises: Invalid where one breaks a rule, those before it are then written; Conflict where another process
    declared the same one meanwhile, or others are declared without a pause; Unavailable for a known host that is to
    change while the store is not open.
    """
    declaration = _Declaration(store, list(resources))
    await declaration.run()


@dataclass(slots=True)
class _Accepted:
    """What goes into one transaction: `count` resources, of which `writes` are changes.

    `narrowed` is a host that loses blocks by it, with those it had before; it is then the last one.
    """

    count: int = 0
    writes: list[tuple[Entry[Any], Resource]] = field(default_factory=list)
    narrowed: tuple[str, Host, tuple[str, ...]] | None = None


class _Declaration:
    """One call of `declare`: `_left` are the resources that are not written yet."""

    def __init__(self, store: Store, resources: list[tuple[str, Resource]]) -> None:
        self._store = store
        self._left = resources
        self._losses = 0

    async def run(self) -> None:
        """Write them all."""
        while self._left:
            ledger = await standing(self._store)
            declarations = Declarations(ledger)
            while self._left and await self._write_next(declarations):
                pass

    async def _write_next(self, declarations: Declarations) -> bool:
        """Write what goes into one transaction; false where the ledger is too old to go on."""
        accepted, fault = self._accept(declarations)
        if accepted.writes and not await self._commit(declarations.ledger, accepted):
            return False
        del self._left[: accepted.count]
        if isinstance(fault, Stale):
            return False
        if fault is not None:
            raise fault
        if accepted.narrowed is not None:
            await self._confirm(*accepted.narrowed)
            return False
        return True

    def _accept(self, declarations: Declarations) -> tuple[_Accepted, Invalid | Stale | Unavailable | None]:
        """As many resources as go together, and what is wrong with the next one."""
        ledger, accepted = declarations.ledger, _Accepted()
        for name, resource in self._left:
            try:
                entry, value = declarations.accept(name, resource)
                if entry.value == value:
                    accepted.count += 1
                    continue
                if isinstance(value, Host) and entry and ledger.epoch.required.state is not EpochState.OPEN:
                    # after a restore, a host's key that is newer and says `up` means that the host was heard
                    raise Unavailable(f"host {name}: the store is not open yet", retry_after_ms=CLOSED_RETRY_MS)
            except (Invalid, Stale, Unavailable) as fault:
                return accepted, fault
            lost = declarations.lost_blocks(name, value) if isinstance(value, Host) else ()
            if accepted.writes and (lost or any(entry.key == other.key for other, _ in accepted.writes)):
                break
            accepted.writes.append((entry, value))
            accepted.count += 1
            if lost and isinstance(value, Host):
                accepted.narrowed = (name, value, ledger.host(name).required.blocks)
                break
            if len(accepted.writes) == BATCH_MAX:
                break
        return accepted, None

    async def _commit(self, ledger: Ledger, accepted: _Accepted) -> bool:
        before = ledger.declared
        counted = Declared(count=before.value.count + 1 if before.value is not None else 1)
        entries = tuple(entry for entry, _ in accepted.writes)
        draft = Draft((ledger.epoch, before, *entries), (*accepted.writes, (before, counted)))
        try:
            (result,) = await self._store.commit([draft.transaction()])
        except OutcomeUnknown:  # what was written is found as it is declared, and left alone
            self._lost("no answer came")
            return False
        if result.is_success:
            ledger.learn(draft.entries_at(result.revision), result.revision)
            self._losses = 0
            return True
        self._lost("others declare without a pause")
        await self._check_untouched(accepted.writes)
        return False

    def _lost(self, why: str) -> None:
        self._losses += 1
        if self._losses > LOSSES_MAX:
            raise Conflict(f"nothing could be declared in {LOSSES_MAX} tries, {why}: try again")

    async def _check_untouched(self, writes: Iterable[tuple[Entry[Any], Resource]]) -> None:
        """Raise Conflict where another process declared one of the same resources otherwise."""
        ledger = await standing(self._store)
        for entry, value in writes:
            now = ledger.entry(entry.key)
            if now.revision != entry.revision and not _is_alike(now.value, entry.value, value):
                raise Conflict(f"{entry.key} was changed meanwhile: look at it, then declare it again")

    async def _confirm(self, name: str, host: Host, before: tuple[str, ...]) -> None:
        """An address may have been taken in a block just before that was lost: it stays then. Raises Invalid."""
        ledger = await standing(self._store)
        try:
            Declarations(ledger).check_unused(name, before, kept=host.blocks)
        except Invalid:
            standing_before = [parse_prefix(text) for text in before]
            gained = [
                text for text in host.blocks if not any(parse_prefix(text).overlaps(p) for p in standing_before)
            ]
            await declare(self._store, [(name, replace(host, blocks=(*before, *gained)))])
            raise


def _is_alike(now: Value | None, *others: Value | None) -> bool:
    """Whether what stands was declared as one of these; hosts change their state by themselves."""
    if isinstance(now, Host):
        declared = {(other.blocks, other.is_draining) for other in others if isinstance(other, Host)}
        return (now.blocks, now.is_draining) in declared
    return now in others
