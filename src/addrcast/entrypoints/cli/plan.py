"""`addrcast plan`: what every account shall hold idle, and what it holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from addrcast.core.domain.record import AddressState
from addrcast.entrypoints.cli.options import as_json, store_path
from addrcast.entrypoints.cli.store import ledger_of, with_store
from addrcast.runtime.plan_board import PostedPlan, posted_plans

if TYPE_CHECKING:
    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.store import Store


@click.command()
@store_path
@as_json
def command(store: str, is_json: bool) -> None:
    """The latest plan of every account beside what it holds now."""

    async def look(opened: Store) -> tuple[Ledger, dict[str, PostedPlan]]:
        return await ledger_of(opened), await posted_plans(opened)

    ledger, plans = with_store(store, look)
    rows = [_row(ledger, account, plans.get(account)) for account in sorted(ledger.accounts())]
    if is_json:
        click.echo(json.dumps({"revision": ledger.revision, "accounts": rows}))
        return
    click.echo(f"{'account':<24}{'tier':<10}{'target':>8}{'reserved':>9}{'preserved':>10}{'bound':>7}{'hit':>8}")
    for row in rows:
        target = "-" if row["target"] is None else f"{row['target']:,}"
        hit = "-" if row["hit_probability"] is None else f"{row['hit_probability']:.4f}"
        held = f"{row['reserved']:>9,}{row['preserved']:>10,}{row['bound']:>7,}"
        click.echo(f"{row['account']:<24}{row['tier']:<10}{target:>8}{held}{hit:>8}")


def _row(ledger: Ledger, account: str, plan: PostedPlan | None) -> dict[str, object]:
    held = {state.value: len(ledger.in_state(account, state)) for state in AddressState}
    return {
        "account": account,
        "tier": ledger.account(account).required.tier,
        "target": None if plan is None else plan.target,
        "delta": None if plan is None else plan.delta,
        "hit_probability": None if plan is None else plan.level,
        "made_ms": None if plan is None else plan.made_ms,
        "expires_ms": None if plan is None else plan.expires_ms,
        **held,
    }
