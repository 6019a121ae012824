"""`addrcast check`: is a store sound?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from addrcast.core.domain.codec import decode
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.finding import Finding
from addrcast.core.domain.invariants import notes, violations
from addrcast.core.domain.keyspace import RECORDS
from addrcast.core.domain.ledger import Ledger
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.store import everything, with_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from addrcast.core.domain.transaction import KeyValue
    from addrcast.ports.store import Store

SHOWN_MAX = 50


@click.command()
@store_path
@as_json
@click.pass_context
def command(ctx: click.Context, store: str, is_json: bool) -> None:
    """Check every invariant on a store; exit status 1 where one is broken.

    Notes, on the error stream, are what is allowed but worth a look: a quota overshot, an address outside its pool.
    """
    ledger, unreadable = with_store(store, _look)
    records = sum(1 for _ in ledger.items(RECORDS))
    found = [*unreadable, *violations(ledger)]
    if is_json:
        print_json({"records": records, "violations": found})
    else:
        click.echo(f"{records:,} records at revision {ledger.revision:,}: {len(found)} violations")
        click.echo("".join(_lines("violation", found)), nl=False)
    click.echo("".join(_lines("note", notes(ledger))), nl=False, err=True)
    if found:
        ctx.exit(1)


async def _look(opened: Store) -> tuple[Ledger, list[Finding]]:
    """Everything that can be read, and a finding for each value that cannot."""
    revision, items = await everything(opened)
    try:
        return Ledger.from_items(items, revision), []
    except Invalid:
        faults = {item.key: _fault(item) for item in items}
    readable = [item for item in items if faults[item.key] is None]
    return Ledger.from_items(readable, revision), [fault for fault in faults.values() if fault is not None]


def _fault(item: KeyValue) -> Finding | None:
    try:
        decode(item.key, item.value)
    except Invalid as fault:
        return Finding("readable", (item.key,), str(fault))
    return None


def _lines(label: str, findings: Sequence[Finding]) -> list[str]:
    lines = [f"{label}: {one.what} [{one.rule}: {', '.join(one.keys)}]\n" for one in findings[:SHOWN_MAX]]
    if len(findings) > SHOWN_MAX:
        lines.append(f"and {len(findings) - SHOWN_MAX:,} more {label}s\n")
    return lines
