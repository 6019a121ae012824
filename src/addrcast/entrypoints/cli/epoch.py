"""`addrcast epoch`: does a store take creates, what does it wait for; an operator speaks for hosts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
import msgspec

from addrcast.core.controller.attachments import Heard, Settling
from addrcast.core.controller.epoch import unheard
from addrcast.core.domain.errors import Conflict, Invalid
from addrcast.core.domain.record import EpochState, HostReport, HostState
from addrcast.core.domain.transaction import Compare
from addrcast.core.domain.transitions_epoch import accept_host
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.open_stores import opened_store
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.store import ledger_of
from addrcast.runtime.driver import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.store import Store

NAMED_MAX = 20
TRIES = 5


class EpochAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a store stands as a whole; all but the first five are empty unless it is closed.

    `unheard` hosts have not acknowledged all their accounts in this epoch, `silent` ones have not reported what is
    attached to them, `unknowing` ones do not know. `pending` are attachments that cannot be taken over, and why.
    """

    epoch: int
    state: EpochState
    schema: int
    moves_to: str
    filled_from: str
    unheard: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    unknowing: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


@click.command()
@store_path
@click.option(
    "--accept", "hosts", multiple=True, metavar="HOST", help="Let the store open without this host's word."
)
@click.option(
    "--accept-all", "is_all", is_flag=True, help="The same for every host that does not know, or is silent."
)
@as_json
def command(store: str, hosts: tuple[str, ...], is_all: bool, is_json: bool) -> None:
    """Show the epoch of a store, and what a closed one waits for.

    What is bound on an accepted host stays bound. What was created on it since the backup is not known any more,
    and its addresses may be given to others: look at it first.
    """
    answer = asyncio.run(_epoch(store, hosts, is_all=is_all))
    if is_json:
        print_json(answer)
        return
    where = f", moves to {answer.moves_to}" if answer.moves_to else ""
    where += f", is being filled from {answer.filled_from}" if answer.filled_from else ""
    click.echo(
        f"epoch {answer.epoch} is {answer.state.value}{where}; written in version {answer.schema} of the schema"
    )
    for what, names in (
        ("not heard yet", answer.unheard),
        ("has not reported what is attached to it", answer.silent),
        ("does not know what is attached to it", answer.unknowing),
        ("accepted", answer.accepted),
        ("cannot be taken over", answer.pending),
    ):
        for name in names[:NAMED_MAX]:
            click.echo(f"{what}: {name}")
        if len(names) > NAMED_MAX:
            click.echo(f"{what}: and {len(names) - NAMED_MAX:,} more")


async def _epoch(address: str, hosts: tuple[str, ...], *, is_all: bool) -> EpochAnswer:
    async with opened_store(address, option="--store") as store:
        ledger = await ledger_of(store)
        if ledger.epoch.value is None:
            raise Invalid("store", address, "it has no epoch; it was never set up")
        if hosts or is_all:
            if ledger.epoch.value.state is not EpochState.CLOSED:
                raise Invalid("--accept", ledger.epoch.value.state.value, "only a closed store waits for hosts")
            heard = Heard(ledger)
            ledger = await _accept(store, ledger, [*hosts, *(heard.silent + heard.unknowing if is_all else ())])
        return _answer(ledger)


async def _accept(store: Store, ledger: Ledger, hosts: Iterable[str]) -> Ledger:
    for host in hosts:
        for _ in range(TRIES):
            state = ledger.host(host).value
            if state is None:
                raise Invalid("--accept", host, "no host of this name is declared")
            epoch, report = ledger.epoch, ledger.host_report(host)
            known = report.value
            if known is None or known.epoch != epoch.required.epoch:
                known = HostReport(epoch=epoch.required.epoch, incarnation=state.incarnation, is_known=False)
            (result,) = await store.commit([accept_host(epoch, report, known).transaction()])
            ledger = await ledger_of(store)
            if result.is_success:
                break
        else:
            raise Conflict(f"host {host} reports without a pause; try again")
    return ledger


def _answer(ledger: Ledger) -> EpochAnswer:
    epoch, move = ledger.epoch.required, ledger.move.value
    known = EpochAnswer(
        epoch=epoch.epoch,
        state=epoch.state,
        schema=epoch.v,
        moves_to=move.target if move is not None else "",
        filled_from=move.source if move is not None else "",
    )
    if epoch.state is not EpochState.CLOSED:
        return known
    heard = Heard(ledger)
    lost = {host for host, entry in ledger.hosts().items() if entry.required.state is HostState.LOST}
    return msgspec.structs.replace(
        known,
        unheard=tuple(sorted({wait.host for wait in unheard(ledger)} - lost)),
        silent=tuple(heard.silent),
        unknowing=tuple(heard.unknowing),
        accepted=tuple(sorted(heard.accepted)),
        pending=() if heard.silent or heard.unknowing else tuple(_pending(ledger, heard)),
    )


def _pending(ledger: Ledger, heard: Heard) -> list[str]:
    settling = Settling(ledger, heard, fence=Compare("", 0), now_ms=SystemClock().now_ms())
    for _ in settling.drafts():
        pass
    return [
        f"{each.instance} of account {each.account} on host {each.host}: {each.why}" for each in settling.pending
    ]
