"""`addrcast check`: is a store sound?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from addrcast.core.domain.finding import Finding
from addrcast.core.domain.invariants import notes, violations
from addrcast.core.domain.keyspace import RECORDS
from addrcast.entrypoints.cli.options import as_json, store_path
from addrcast.entrypoints.cli.store import ledger_of, with_store

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN_MAX = 50


@click.command()
@store_path
@as_json
@click.pass_context
def command(ctx: click.Context, store: str, is_json: bool) -> None:
    """Check every invariant on a store; exit status 1 where one is broken."""
    ledger = with_store(store, ledger_of)
    records = sum(1 for _ in ledger.items(RECORDS))
    found, remarks = violations(ledger), notes(ledger)
    if is_json:
        click.echo(json.dumps({"records": records, "violations": _as_dicts(found), "notes": _as_dicts(remarks)}))
    else:
        click.echo(f"{records:,} records at revision {ledger.revision:,}: {len(found)} violations")
        for label, findings in (("violation", found), ("note", remarks)):
            for finding in findings[:SHOWN_MAX]:
                click.echo(f"{label}: {finding.what} [{finding.rule}: {', '.join(finding.keys)}]")
            if len(findings) > SHOWN_MAX:
                click.echo(f"and {len(findings) - SHOWN_MAX:,} more; --json has all of them")
    if found:
        ctx.exit(1)


def _as_dicts(findings: Iterable[Finding]) -> list[dict[str, object]]:
    return [{"rule": one.rule, "keys": one.keys, "what": one.what} for one in findings]
