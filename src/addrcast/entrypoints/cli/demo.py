"""`addrcast demo`: two days of three real fleets through the whole system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addrcast.adapters.forecasters.gbm import GbmFitter
from addrcast.core.domain.record import Outcome
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.progress import progress
from addrcast.entrypoints.demo_page import checks_line, demo_page, warm_pool_text
from addrcast.runtime.demo.play import PLAYED_STEPS, DemoResult, play_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.ports.forecaster import NeedFitter

REPORT = "report.html"


@click.command()
@click.option(
    "-o", "--out", default="out/demo", type=click.Path(file_okay=False, path_type=Path), help="Folder [out/demo]."
)
@click.option(
    "--steps",
    default=PLAYED_STEPS,
    type=click.IntRange(1),
    metavar="N",
    help="Last steps of 5 minutes to play [576, two days].",
)
@as_json
@click.pass_context
def command(ctx: click.Context, out: Path, steps: int, is_json: bool) -> None:
    """Forecast, plan, assign and propagate for three real fleets that share one pool.

    The forecast learns on all but the last steps, which are then played: a plan every 5 minutes, creates and
    deletes, three hosts. The store stays in OUT/store: look into it with `addrcast check`, `plan` and `explain`.
    Exit status 1 means that a check at the end failed.
    """
    fit: NeedFitter = ctx.obj or GbmFitter()
    with progress("demo") as advance:
        result = play_demo(out / "store", advance, fit=fit, played_steps=steps)
    (out / REPORT).write_text(demo_page(result), encoding="utf-8")
    if is_json:
        print_json(_figures(result))
    else:
        click.echo("\n".join(text_lines(result, out)))
    if result.end.violations or result.end.wrong_tables:
        ctx.exit(1)


def text_lines(result: DemoResult, out: Path) -> Iterator[str]:
    """What a person reads: each account's creates by outcome, misses, waste, the checks, where to look further."""
    yield f"Three real fleets in one pool, the last {result.steps:,} steps of 5 minutes"
    heads = "".join(f"{outcome.value:>10}" for outcome in Outcome)
    yield f"{'account':<9}{'tier':<10}{'creates':>8}{heads}{'misses':>8}{'waste':>7}  tuned warm pool, same waste"
    for account, tally in result.tallies.items():
        outcomes = "".join(f"{tally.outcomes[outcome]:>10,}" for outcome in Outcome)
        figures = f"{tally.creates:>8,}{outcomes}{tally.misses:>8.1%}{tally.waste:>7.3f}"
        yield f"{account:<9}{tally.tier:<10}{figures}  {warm_pool_text(result, account)}"
    creates = sum(tally.creates for tally in result.tallies.values())
    ready = sum(tally.ready_at_once for tally in result.tallies.values())
    yield f"{ready:,} of {creates:,} creates were answered with every host ready for the first packet"
    yield checks_line(result)
    yield f"report: {out / REPORT}"
    yield f"look inside: addrcast explain {next(iter(result.tallies))} --store {out / 'store'}"


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
    return {
        "accounts": accounts,
        "records": end.records,
        "violations": end.violations,
        "wrong_tables": end.wrong_tables,
    }
