"""`addrcast check`: is a store sound?"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.open_stores import opened_store
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.progress import progress
from addrcast.runtime.checking import Look, looks
from addrcast.runtime.driver import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.core.domain.finding import Finding

SHOWN_MAX = 50
BROKEN, STUCK = 1, 3


@click.command()
@store_path
@click.option(
    "--again-after",
    "again_after_s",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="When to look again, before anything that a store in use shows is called broken or stuck.",
)
@click.option("--watch", "is_watching", is_flag=True, help="Look again and again, until interrupted.")
@as_json
@click.pass_context
def command(ctx: click.Context, store: str, again_after_s: float, is_watching: bool, is_json: bool) -> None:
    """Check every invariant on a store that may be in use.

    What a first look finds is looked at again: only what stands in both looks counts. Exit status 1 where an
    invariant is broken; 3 where none is, but something does not move on: an acknowledgement, cooling, a tombstone.
    Notes, on the error stream, are what is allowed but worth a look: a quota overshot, an address outside its pool.
    """

    def show(look: Look) -> None:
        _show(look, is_json=is_json)

    found = asyncio.run(_check(store, round(again_after_s * 1000), show, is_watching=is_watching))
    if found.violations:
        ctx.exit(BROKEN)
    if found.stuck:
        ctx.exit(STUCK)


async def _check(address: str, again_after_ms: int, show: Callable[[Look], None], *, is_watching: bool) -> Look:
    async with opened_store(address, option="--store") as store:
        with progress("checking") as advance:
            seen = looks(
                store, clock=SystemClock(), again_after_ms=again_after_ms, tell=lambda keys: advance(keys, 0)
            )
            count = 0
            async with aclosing(seen) as all_looks:
                async for look in all_looks:
                    count += 1
                    # a store that nobody works on shows the same again
                    is_certain = count > 1 or look.is_sound or not look.is_live
                    if is_certain:
                        show(look)
                    if is_certain and not is_watching:
                        return look
    raise AssertionError("looks have no end")


def _show(look: Look, *, is_json: bool) -> None:
    if is_json:
        print_json({"records": look.records, "violations": look.violations, "stuck": list(look.stuck)})
    else:
        waiting = f", {len(look.stuck)} stuck" if look.stuck else ""
        click.echo(
            f"{look.records:,} records at revision {look.revision:,}: {len(look.violations)} violations{waiting}"
        )
        click.echo("".join(_lines("violation", look.violations)), nl=False)
        click.echo("".join(_lines("stuck", list(look.stuck))), nl=False)
    click.echo("".join(_lines("note", look.notes)), nl=False, err=True)


def _lines(label: str, findings: Sequence[Finding]) -> list[str]:
    lines = [f"{label}: {one.what} [{one.rule}: {', '.join(one.keys)}]\n" for one in findings[:SHOWN_MAX]]
    if len(findings) > SHOWN_MAX:
        lines.append(f"and {len(findings) - SHOWN_MAX:,} more {label}s\n")
    return lines
