"""Drains and removes accounts, hosts and pools of a store, and waits until they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from addrcast.core.domain.errors import Conflict, Invalid, OutcomeUnknown
from addrcast.core.domain.keyspace import removal_key
from addrcast.core.domain.pool import drain
from addrcast.core.domain.removals import Bound, Kind, Left, begun, left_of
from addrcast.core.domain.resource import Pool
from addrcast.runtime.declare import declare, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.core.domain.record import Host
    from addrcast.core.domain.resource import Account, Removal
    from addrcast.ports.clock import Clock
    from addrcast.ports.store import Store

LOSSES_MAX = 32
LOOK_EVERY_MS = 1_000
COUNT_EVERY = 5


async def remove(
    store: Store, kind: Kind, name: str, *, prefixes: Sequence[str] = (), bound: Bound, now_ms: int
) -> Left:
    """Begin to remove something; the controller does the rest. Answers with what is left of it.

    Of a pool, only `prefixes` where there are any. What goes already goes on; `Bound.TAKEN` may come later.

    Raises: Invalid where it may not go, and why; Conflict where others are in the way without a pause.
    """
    for _ in range(LOSSES_MAX):
        ledger = await standing(store)
        draft = begun(ledger, kind, name, prefixes=prefixes, bound=bound, now_ms=now_ms)
        if draft is None:
            return left_of(ledger, kind, name, prefixes)
        try:
            (result,) = await store.commit([draft.transaction()])
        except OutcomeUnknown:
            continue
        if result.is_success:
            return left_of(ledger, kind, name, prefixes)
    raise Conflict(f"{kind.value} {name}: others declare without a pause; try again")


async def wait_gone(store: Store, clock: Clock, kind: Kind, name: str, tell: Callable[[Left], None]) -> None:
    """Come back once nothing of it is left; until then what is left is told now and then."""
    key, looks = removal_key(kind.value, name), 0
    while (await store.read([key])).items:
        if looks % COUNT_EVERY == 0:
            ledger = await standing(store)
            mark = ledger.removal(kind.value, name).value
            tell(left_of(ledger, kind, name, mark.prefixes if mark is not None else ()))
        looks += 1
        await clock.sleep_until(clock.now_ms() + LOOK_EVERY_MS)


async def set_draining(
    store: Store, kind: Kind, name: str, *, prefixes: Sequence[str] = (), is_draining: bool
) -> Left:
    """Let something take no new use, or use again; answers with what is left of it. Raises Invalid, Conflict."""
    ledger = await standing(store)
    known: Account | Host | Pool | None
    if kind is Kind.ACCOUNT:
        known = ledger.account(name).value
    elif kind is Kind.HOST:
        known = ledger.host(name).value
    else:
        known = _staying(ledger.pool(name).value, ledger.removal(kind.value, name).value)
    if known is None:
        raise Invalid(kind.value, name, f"no {kind.value} of this name is declared")
    await declare(store, [(name, _with_draining(known, prefixes, is_draining=is_draining))])
    return left_of(ledger, kind, name, prefixes)


def _staying(pool: Pool | None, mark: Removal | None) -> Pool | None:
    """A pool without the prefixes that are being removed, as it may be declared."""
    if pool is None or mark is None or not mark.prefixes:
        return pool
    return replace(
        pool,
        prefixes=tuple(text for text in pool.prefixes if text not in mark.prefixes),
        draining=tuple(text for text in pool.draining if text not in mark.prefixes),
    )


def _with_draining(
    known: Account | Host | Pool, prefixes: Sequence[str], *, is_draining: bool
) -> Account | Host | Pool:
    if not isinstance(known, Pool):
        return replace(known, is_draining=is_draining)
    for prefix in prefixes or known.prefixes:
        drained = drain(known, prefix)
        known = drained if is_draining else replace(known, draining=_without(known.draining, prefix))
    return known


def _without(prefixes: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(text for text in prefixes if text != prefix)
