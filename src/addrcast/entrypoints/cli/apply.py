"""`addrcast apply FILE`: tiers, pools, hosts and accounts as a file declares them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addrcast.core.domain.declared_changes import ResourceChange, changes, in_order
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.store import with_store
from addrcast.runtime.declare import declare, set_up, standing
from addrcast.runtime.declared_file import read_declared

if TYPE_CHECKING:
    from addrcast.ports.store import Store


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@store_path
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would change, and change nothing.")
@as_json
def command(file: Path, store: str, is_dry: bool, is_json: bool) -> None:
    """Declare the tiers, pools, hosts and accounts of a TOML or JSON file.

    What stands as it is declared is left alone, and so is what the file does not name: `addrcast remove` removes.
    """
    declared = read_declared(file)

    async def act(opened: Store) -> list[ResourceChange]:
        if not is_dry:
            await set_up(opened)
        ledger = await standing(opened)
        resources = in_order(ledger, declared)
        found = changes(ledger, resources)
        if found and not is_dry:
            await declare(opened, resources)
        return found

    found = with_store(store, act)
    if is_json:
        print_json({"changes": found, "is_applied": bool(found) and not is_dry})
        return
    click.echo("".join(f"{line}\n" for change in found for line in change.lines()), nl=False)
    verb = "would change" if is_dry else "changed"
    click.echo(f"{len(found):,} of {len(declared):,} resources {verb}", err=True)
