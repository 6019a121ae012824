"""`addrcast shards`: how many shards the controllers of a store go by, and who leads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from addrcast.core.controller.standing import SHARDS, Standing
from addrcast.core.controller.territory import SHARDS_MAX
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.store import with_store
from addrcast.runtime.election import renumber

if TYPE_CHECKING:
    from addrcast.ports.store import Store


@click.command()
@store_path
@click.option(
    "--to",
    "shards",
    type=click.IntRange(1, SHARDS_MAX),
    metavar="N",
    help="Divide the accounts into so many shards.",
)
@as_json
def command(store: str, shards: int | None, is_json: bool) -> None:
    """Show how many shards there are and who leads them, after a change of their number if one is asked for.

    A change takes every shard away from its leader; all are led again a moment later.
    """

    async def look(opened: Store) -> Standing:
        if shards is not None:
            await renumber(opened, shards)
        return Standing.from_items((await opened.scan(SHARDS)).items)

    standing = with_store(store, look)
    leaders = {shard: standing.leaders.get(shard) for shard in range(standing.shards)}
    if is_json:
        print_json({"shards": standing.shards, "leaders": leaders, "candidates": sorted(standing.candidates)})
        return
    click.echo(f"{standing.shards} shards, {len(standing.candidates)} candidates")
    for shard, leader in leaders.items():
        click.echo(f"{shard}: {leader or 'nobody'}")
