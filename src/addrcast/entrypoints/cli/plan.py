"""`addrcast plan`: what every account shall hold idle, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from addrcast.core.domain.record import AddressState
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.store import ledger_of, with_store
from addrcast.runtime.plan_board import PostedPlan, posted_plans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.store import Store


class PlanFigures(msgspec.Struct, frozen=True):
    """What an account's latest plan says."""

    target: int
    delta: int
    hit_probability: float
    made_ms: int
    expires_ms: int


class AccountRow(msgspec.Struct, frozen=True):
    """One account: its latest plan, None where there is none, and how many addresses it has by state."""

    account: str
    tier: str
    plan: PlanFigures | None
    addresses: dict[str, int]


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
        print_json({"revision": ledger.revision, "accounts": rows})
    else:
        click.echo("\n".join(_table(rows)))


def _row(ledger: Ledger, account: str, plan: PostedPlan | None) -> AccountRow:
    figures = None
    if plan is not None:
        figures = PlanFigures(plan.target, plan.delta, plan.level, plan.made_ms, plan.expires_ms)
    held = {state.value: len(ledger.in_state(account, state)) for state in AddressState}
    return AccountRow(account, ledger.account(account).required.tier, figures, held)


def _table(rows: Sequence[AccountRow]) -> Iterator[str]:
    width = max([len("account"), *(len(row.account) for row in rows)])
    states = "".join(f"{state.value:>10}" for state in AddressState)
    yield f"{'account':<{width}}  {'tier':<10}{'target':>8}{states}{'hit':>8}"
    for row in rows:
        target, hit = (
            ("-", "-") if row.plan is None else (f"{row.plan.target:,}", f"{row.plan.hit_probability:.4f}")
        )
        held = "".join(f"{row.addresses[state.value]:>10,}" for state in AddressState)
        yield f"{row.account:<{width}}  {row.tier:<10}{target:>8}{held}{hit:>8}"
