"""`addrcast upgrade`: everybody writes the newest version of the schema from here on."""

from __future__ import annotations

import asyncio

import click
import msgspec

from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.open_stores import opened_store
from addrcast.entrypoints.cli.options import store_path
from addrcast.runtime.upgrade import Upgraded, upgrade


@click.command()
@store_path
@click.option("--force", "is_forced", is_flag=True, help="Though hosts are alive whose agents cannot read it.")
@as_json
def command(store: str, is_forced: bool, is_json: bool) -> None:
    """Switch a store to the newest version of the schema, once every process is new; there is no way back.

    Processes of the former version stop with a message as soon as they see it. Nothing is rewritten: what is stored
    in an older version is read as before.
    """
    done = asyncio.run(_upgrade(store, is_forced=is_forced))
    if is_json:
        print_json(msgspec.to_builtins(done))
    elif done.before == done.after:
        click.echo(f"the store is written in version {done.after} of the schema already")
    else:
        click.echo(
            f"the store was written in version {done.before} of the schema, and is in {done.after} from here on"
        )


async def _upgrade(address: str, *, is_forced: bool) -> Upgraded:
    async with opened_store(address, option="--store") as store:
        return await upgrade(store, is_forced=is_forced)
