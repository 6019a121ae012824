"""`addrcast demo`: two days of three real fleets through the whole system."""

from __future__ import annotations

import json
from pathlib import Path

import click

from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.core.domain.record import Outcome
from addrcast.entrypoints.cli.options import as_json
from addrcast.entrypoints.cli.progress import progress
from addrcast.entrypoints.demo_page import checks_line, demo_page, warm_pool_text
from addrcast.runtime.demo.play import DemoResult, play_demo


@click.command()
@click.option("-o", "--out", default="out/demo", type=click.Path(file_okay=False), help="Folder [out/demo].")
@as_json
@click.pass_context
def command(ctx: click.Context, out: str, is_json: bool) -> None:
    """Forecast, plan, assign and propagate for three real fleets that share one pool.

    The store stays in OUT/store: look into it with `addrcast check`, `plan` and `explain`. Exit status 1 means that
    a check at the end failed.
    """
    folder = Path(out)
    if not is_json:
        click.echo("Three real fleets of 5-minute samples; the forecast learns on all but the last two days, which")
        click.echo("are then played: plan every 5 minutes, creates and deletes, three hosts, one pool of 896.")
    with progress("demo") as advance:
        result = play_demo(folder / "store", advance, fit=GbmFitter())
    page = folder / "report.html"
    page.write_text(demo_page(result))
    if is_json:
        click.echo(json.dumps(_figures(result)))
    else:
        click.echo("\n".join([*_table(result), "", checks_line(result), f"report: {page}"]))
        click.echo(f"look inside: addrcast explain alibaba --store {folder / 'store'}")
    if result.end.violations or result.end.wrong_tables:
        ctx.exit(1)


def _table(result: DemoResult) -> list[str]:
    heads = "".join(f"{outcome.value:>10}" for outcome in Outcome)
    lines = [
        f"\n{'account':<9}{'tier':<10}{'creates':>8}{heads}{'misses':>8}{'waste':>7}  tuned warm pool, same waste"
    ]
    for account, tally in result.tallies.items():
        outcomes = "".join(f"{tally.outcomes[outcome]:>10,}" for outcome in Outcome)
        figures = f"{tally.creates:>8,}{outcomes}{tally.misses:>8.1%}{tally.waste:>7.3f}"
        lines.append(f"{account:<9}{tally.tier:<10}{figures}  {warm_pool_text(result, account)}")
    creates = sum(tally.creates for tally in result.tallies.values())
    ready = sum(tally.ready_at_once for tally in result.tallies.values())
    lines += ["", f"{ready:,} of {creates:,} creates were answered with every host ready for the first packet"]
    return lines


def _figures(result: DemoResult) -> dict[str, object]:
    accounts = {
        account: {
            "tier": tally.tier,
            "creates": tally.creates,
            "outcomes": {outcome.value: tally.outcomes[outcome] for outcome in Outcome},
            "refused": tally.refused,
            "deletes": tally.deletes,
            "ready_at_once": tally.ready_at_once,
            "misses": tally.misses,
            "waste": tally.waste,
            "warm_pool": result.warm_pools[account],
        }
        for account, tally in result.tallies.items()
    }
    end = result.end
    found = [{"rule": one.rule, "keys": one.keys, "what": one.what} for one in end.violations]
    return {"accounts": accounts, "records": end.records, "violations": found, "wrong_tables": end.wrong_tables}
