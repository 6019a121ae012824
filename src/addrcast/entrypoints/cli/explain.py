"""`addrcast explain ACCOUNT`: why an account holds what it holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import AddressState
from addrcast.core.propagation.audience import LostHosts, account_audience
from addrcast.entrypoints.cli.options import as_json, store_path
from addrcast.entrypoints.cli.store import ledger_of, with_store
from addrcast.runtime.plan_board import PostedPlan, posted_plans

if TYPE_CHECKING:
    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.store import Store


@click.command()
@click.argument("account")
@store_path
@as_json
def command(account: str, store: str, is_json: bool) -> None:
    """Why ACCOUNT holds what it holds: its plan with every number's reason, its addresses, its pools, its hosts."""

    async def look(opened: Store) -> tuple[Ledger, PostedPlan | None]:
        return await ledger_of(opened), (await posted_plans(opened)).get(account)

    ledger, plan = with_store(store, look)
    if account not in ledger.accounts():
        raise Invalid("account", account, f"one of {', '.join(sorted(ledger.accounts())) or 'none'} is declared")
    found = _found(ledger, account, plan)
    if is_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(_lines(found)))


def _found(ledger: Ledger, account: str, plan: PostedPlan | None) -> dict[str, object]:
    declared = ledger.account(account).required
    audience = account_audience(ledger, account, lost_hosts=LostHosts.LEFT_OUT)
    return {
        "account": account,
        "plan_made_ms": None if plan is None else plan.made_ms,
        "plan": [] if plan is None else list(plan.lines),
        "addresses": {state.value: len(ledger.in_state(account, state)) for state in AddressState},
        "pools": {pool: ledger.counts(pool, account)._asdict() for pool in declared.pools},
        "behind": [str(wait) for wait in audience.behind(ledger.revision)],
        "left_out": [str(host) for host in audience.left_out],
    }


def _lines(found: dict[str, object]) -> list[str]:
    lines = []
    made_ms = found["plan_made_ms"]
    if isinstance(made_ms, int):
        lines.append(f"plan of {datetime.fromtimestamp(made_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC")
    plan, addresses, pools = found["plan"], found["addresses"], found["pools"]
    lines += plan if isinstance(plan, list) and plan else ["no plan was made for it yet"]
    if isinstance(addresses, dict):
        lines.append("addresses: " + ", ".join(f"{count:,} {state}" for state, count in addresses.items()))
    if isinstance(pools, dict):
        lines += [
            f"pool {pool}: " + ", ".join(f"{count:,} {state}" for state, count in counts.items())
            for pool, counts in pools.items()
        ]
    left_out = found["left_out"]
    if isinstance(left_out, list) and left_out:
        lines.append(f"lost hosts, not waited for: {', '.join(left_out)}")
    return lines
