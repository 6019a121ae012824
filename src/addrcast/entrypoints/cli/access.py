"""`addrcast access`: the roles of a store on etcd, set up once or kept as subscriptions come and go."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.runtime.open_access import opened_keeper
from addrcast.runtime.settings import StoreSettings
from addrcast.runtime.settings_sources import load
from addrcast.runtime.store_address import parse_store_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@click.command()
@store_path
@click.option(
    "--follow", "is_following", is_flag=True, help="Go on, and grant and revoke as hosts and accounts come."
)
@click.option("--users", "with_users", is_flag=True, help="Make a user for each host too, for certificates.")
@click.option("--name", default="", metavar="NAME", help="How the names of the roles begin, instead of addrcast.")
@as_json
def command(store: str, is_following: bool, with_users: bool, name: str, is_json: bool) -> None:
    """Make the roles of a store on etcd what they should be, and print what was changed.

    User and password are those of the settings, and must have etcd's role root.
    """

    async def run() -> None:
        lines = _changed(store, name=name, with_users=with_users, is_following=is_following)
        if is_json and not is_following:
            print_json({"changed": [line async for line in lines]})
            return
        async for line in lines:
            click.echo(line)

    logging.basicConfig(format="%(levelname)s: %(message)s")
    asyncio.run(run())


async def _changed(store: str, *, name: str, with_users: bool, is_following: bool) -> AsyncIterator[str]:
    """What is changed, line by line; ends at once, or with SIGTERM."""
    options = load(StoreSettings, environ=os.environ, flags={"store.address": store}).settings.store
    async with opened_keeper(parse_store_address(store), options, name=name, with_users=with_users) as keeper:
        for line in [*await keeper.set_up(), *(await keeper.keep())[1]]:
            yield line
        if is_following:
            logging.getLogger("addrcast.runtime.access").setLevel(logging.INFO)
            following = asyncio.create_task(keeper.follow())
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
            with suppress(asyncio.CancelledError):
                await following
