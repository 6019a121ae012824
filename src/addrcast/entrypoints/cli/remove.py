"""`addrcast remove account|host|pool NAME`: it takes no new use, and goes once nothing of it is left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from addrcast.core.domain.removals import Bound, Kind, Left
from addrcast.entrypoints.cli.json_output import as_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.removal import check_prefixes, kind_argument, name_argument, prefixes_option, show
from addrcast.entrypoints.cli.store import with_store
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.remove import remove, wait_gone

if TYPE_CHECKING:
    from addrcast.ports.store import Store


@click.command()
@kind_argument
@name_argument
@store_path
@prefixes_option
@click.option(
    "--drain", "is_drained", is_flag=True, help="Take no new use, and go when the last instance is deleted."
)
@click.option("--force", "is_forced", is_flag=True, help="Take the addresses of instances that are bound.")
@click.option(
    "--wait", "is_waiting", is_flag=True, help="Come back once it is gone, and tell what is left until then."
)
@as_json
def command(
    kind: str,
    name: str,
    store: str,
    prefixes: tuple[str, ...],
    is_drained: bool,
    is_forced: bool,
    is_waiting: bool,
    is_json: bool,
) -> None:
    """Remove an account, a host that is off, a pool or some of its prefixes.

    It takes no new use from here on; the controller lets what is idle cool and removes it once nothing is left.
    Where instances are bound this is refused, unless they are waited for (--drain) or lose their addresses
    (--force).
    """
    what, clock = Kind(kind), SystemClock()
    check_prefixes(what, prefixes)
    if what is Kind.HOST and is_drained:
        raise click.UsageError("a host that is removed is off; `addrcast drain host` is for one that is on.")
    bound = Bound.TAKEN if is_forced else Bound.WAITED_FOR if is_drained else Bound.REFUSED

    async def act(opened: Store) -> Left:
        left = await remove(opened, what, name, prefixes=prefixes, bound=bound, now_ms=clock.now_ms())
        if is_waiting:
            await wait_gone(opened, clock, what, name, lambda left: click.echo(f"left of it: {left}", err=True))
            return Left(Counter())
        return left

    left = with_store(store, act)
    show(what, name, left, verb="is gone" if is_waiting else "is being removed", is_json=is_json, prefixes=prefixes)
