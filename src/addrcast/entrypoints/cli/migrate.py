"""`addrcast migrate`: a store moves to another one, of the same kind or not."""

from __future__ import annotations

import asyncio

import click

from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.open_stores import ADDRESSES, NewStore, StoreThere, name_of, opened_store
from addrcast.entrypoints.cli.progress import progress
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.migrate import Migrated, Side, abort, migrate


@click.command()
@click.option("--from", "source", required=True, type=StoreThere(), help=f"The store that moves. {ADDRESSES}")
@click.option("--to", "target", type=NewStore(), default=None, help="The empty store that it moves to.")
@click.option("--abort", "is_abort", is_flag=True, help="Let the frozen store go on as it was.")
@click.option("--force", "is_forced", is_flag=True, help="Abort though the other store may be in use.")
@as_json
def command(source: str, target: str | None, is_abort: bool, is_forced: bool, is_json: bool) -> None:
    """Freeze a store, copy it, compare the copy and let it open; call it again where it was interrupted.

    The frozen store refuses everything and says where it went. The other one is in a new epoch and closed for
    creates, until every host has said what is attached to it: see `addrcast epoch`.
    """
    if is_abort:
        state = asyncio.run(_abort(source, is_forced=is_forced))
        if is_json:
            print_json({"store": name_of(source), "state": state})
        else:
            click.echo(f"{name_of(source)} is {state} again")
        return
    if target is None:
        raise click.UsageError("Missing option '--to'.")
    done = asyncio.run(_migrate(source, target))
    if is_json:
        print_json(done)
    else:
        click.echo(
            f"{done.keys:,} keys moved, sha256 {done.sha256[:16]} on both sides; {name_of(target)} is in epoch"
            f" {done.epoch}, closed until its hosts were heard; {name_of(source)} stays frozen"
        )


async def _migrate(source: str, target: str) -> Migrated:
    async with (
        opened_store(source, option="--from") as old,
        opened_store(target, option="--to", is_new=True) as new,
    ):
        with progress("migrating") as advance:
            sides = Side(old, name_of(source)), Side(new, name_of(target))
            return await migrate(*sides, clock=SystemClock(), tell=advance)


async def _abort(source: str, *, is_forced: bool) -> str:
    async with opened_store(source, option="--from") as old:
        return (await abort(Side(old, name_of(source)), is_forced=is_forced)).value
