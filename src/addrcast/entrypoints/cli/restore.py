"""`addrcast restore FILE`: an empty store gets what a backup holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from addrcast.adapters.backup_file import verified
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.open_stores import ADDRESSES, NewStore, name_of, opened_store
from addrcast.entrypoints.cli.progress import progress
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.restore import Restored, restore


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--store", "store", required=True, type=NewStore(), help=f"The empty store to fill. {ADDRESSES}")
@click.option(
    "--above-epoch",
    "above_epoch",
    type=click.IntRange(0),
    default=0,
    help="The highest epoch that hosts may have seen, where that is more than the backup's.",
)
@as_json
def command(file: Path, store: str, above_epoch: int, is_json: bool) -> None:
    """Fill an empty store with a backup; call it again where it was interrupted.

    The store is in a new epoch then and closed for creates, until every host has said what is attached to it:
    see `addrcast epoch`.
    """
    restored = asyncio.run(_restore(file, store, above_epoch))
    if is_json:
        print_json(restored)
    else:
        click.echo(
            f"{restored.keys:,} keys restored; {name_of(store)} is in epoch {restored.epoch},"
            " closed until its hosts were heard"
        )


async def _restore(file: Path, store: str, above_epoch: int) -> Restored:
    with progress("verifying"):
        backup = verified(file)
    async with opened_store(store, option="--store", is_new=True) as opened:
        with progress("restoring") as advance:
            return await restore(
                backup, opened, clock=SystemClock(), name=name_of(store), above_epoch=above_epoch, tell=advance
            )
