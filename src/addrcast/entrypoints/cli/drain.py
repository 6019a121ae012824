"""`addrcast drain account|host|pool NAME`: no new use; what is idle cools, what is bound stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from addrcast.core.domain.removals import Kind, Left
from addrcast.entrypoints.cli.json_output import as_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.removal import check_prefixes, kind_argument, name_argument, prefixes_option, show
from addrcast.entrypoints.cli.store import with_store
from addrcast.runtime.remove import set_draining

if TYPE_CHECKING:
    from addrcast.ports.store import Store


@click.command()
@kind_argument
@name_argument
@store_path
@prefixes_option
@click.option("--undo", "is_undone", is_flag=True, help="Take use again.")
@as_json
def command(kind: str, name: str, store: str, prefixes: tuple[str, ...], is_undone: bool, is_json: bool) -> None:
    """Let an account, a host, a pool or some of its prefixes take no new use.

    What is idle there cools, what is bound stays. Applying a file that says otherwise undoes it.
    """
    what = Kind(kind)
    check_prefixes(what, prefixes)

    async def act(opened: Store) -> Left:
        return await set_draining(opened, what, name, prefixes=prefixes, is_draining=not is_undone)

    verb = "takes use again" if is_undone else "drains"
    show(what, name, with_store(store, act), verb=verb, is_json=is_json, prefixes=prefixes)
