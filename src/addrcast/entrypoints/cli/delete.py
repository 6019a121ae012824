"""`addrcast delete ACCOUNT INSTANCE`: an instance is gone, its addresses are released."""

from __future__ import annotations

import click

from addrcast.core.assignment.request import DeleteRequest
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.local import deadline_ms, socket_path, timeout, with_client


@click.command()
@click.argument("account")
@click.argument("instance")
@click.option(
    "--attempt",
    type=click.IntRange(0),
    default=None,
    help="Only this attempt; whichever is bound where it is not given.",
)
@timeout
@socket_path
@as_json
def command(
    account: str, instance: str, attempt: int | None, timeout_ms: int, socket: str | None, is_json: bool
) -> None:
    """Release the addresses of INSTANCE of ACCOUNT; they are preserved for the account for a while."""
    request = DeleteRequest(
        account=account, instance=instance, attempt=attempt, deadline_ms=deadline_ms(timeout_ms)
    )
    deleted = with_client(socket, lambda client: client.delete(request))
    if is_json:
        print_json({"deleted": deleted})
    elif deleted.is_change:
        click.echo(f"released {', '.join(deleted.addresses) or 'nothing, but its name is taken for a while'}")
    else:
        click.echo("nothing to release")
