"""`addrcast explain ACCOUNT`: why an account holds what it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from addrcast.core.controller.cooling_waits import cooling_waits
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.record import AddressState
from addrcast.core.propagation.audience import LostHosts, account_audience
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.store import ledger_of, with_store
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.plan_board import PostedPlan, posted_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from addrcast.core.domain.ledger import Ledger
    from addrcast.ports.store import Store

NAMED_MAX = 10


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that bears on one account: its plan in words, its addresses, its pools, its hosts.

    `cooling` says what its cooling addresses wait for. `behind` are the hosts that do not have the account's newest
    record in their tables yet, `left_out` the lost ones that are not waited for.
    """

    account: str
    plan_made_ms: int | None
    plan: tuple[str, ...]
    addresses: dict[str, int]
    pools: dict[str, dict[str, int]]
    cooling: tuple[str, ...]
    behind: tuple[str, ...]
    left_out: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The same for a person to read."""
        if self.plan_made_ms is None:
            yield "no plan was made for it yet"
        else:
            yield f"plan of {datetime.fromtimestamp(self.plan_made_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        yield from self.plan
        yield f"addresses: {_listed(self.addresses)}"
        for pool, counts in self.pools.items():
            yield f"pool {pool}: {_listed(counts)}"
        yield from self.cooling
        yield from self.behind
        if self.left_out:
            yield f"lost hosts, not waited for: {', '.join(self.left_out)}"


@click.command()
@click.argument("account")
@store_path
@as_json
def command(account: str, store: str, is_json: bool) -> None:
    """Why ACCOUNT holds what it holds: its plan with every number's reason, its addresses, its pools, its hosts."""

    async def look(opened: Store) -> tuple[Ledger, PostedPlan | None]:
        return await ledger_of(opened), await posted_plan(opened, account)

    ledger, plan = with_store(store, look)
    explanation = _explained(ledger, account, plan)
    if is_json:
        print_json(explanation)
    else:
        click.echo("\n".join(explanation.lines()))


def _explained(ledger: Ledger, account: str, plan: PostedPlan | None) -> Explanation:
    if account not in ledger.accounts():
        declared = sorted(ledger.accounts())
        named = ", ".join(declared[:NAMED_MAX]) + (", ..." if len(declared) > NAMED_MAX else "")
        raise Invalid("account", account, f"{len(declared)} accounts are declared: {named or 'none'}")
    audience = account_audience(ledger, account, lost_hosts=LostHosts.LEFT_OUT)
    waits = cooling_waits(ledger, ControllerSettings(), now_ms=SystemClock().now_ms()).get(account)
    newest = max((entry.revision for entry in ledger.records(account).values()), default=0)
    return Explanation(
        account=account,
        plan_made_ms=plan.made_ms if plan is not None else None,
        plan=plan.lines if plan is not None else (),
        addresses={state.value: len(ledger.in_state(account, state)) for state in AddressState},
        pools={pool: ledger.counts(pool, account)._asdict() for pool in ledger.account(account).required.pools},
        cooling=tuple(waits.lines()) if waits is not None else (),
        behind=tuple(str(wait) for wait in audience.behind(newest)),
        left_out=audience.left_out,
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in counts.items())
