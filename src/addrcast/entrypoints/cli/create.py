"""`addrcast create ACCOUNT INSTANCE`: addresses for an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from addrcast.core.assignment.request import CreateRequest, Want
from addrcast.core.domain.address import Family
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.local import deadline_ms, socket_path, timeout, with_client

if TYPE_CHECKING:
    from addrcast.core.assignment.answer import Created
    from addrcast.runtime.local_call import ReadyAnswer
    from addrcast.runtime.local_call_client import LocalClient

FAMILIES = {"4": Family.IPV4, "6": Family.IPV6}


@click.command()
@click.argument("account")
@click.argument("instance")
@click.option("--host", default="", help="The host that the instance goes to; any where it is not given.")
@click.option(
    "--attempt",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Counts up when an instance is created anew.",
)
@click.option(
    "--count", type=click.IntRange(1, 16), default=1, show_default=True, help="How many addresses, of any pool."
)
@click.option(
    "--family",
    "families",
    type=click.Choice(tuple(FAMILIES)),
    multiple=True,
    help="An address of IP 4 or 6, instead of --count.",
)
@click.option("--pool", "pools", multiple=True, help="An address of this pool, instead of --count.")
@click.option("--address", "addresses", multiple=True, help="This logical address, instead of --count.")
@click.option("--wait-ready", is_flag=True, help="Wait until every host delivers to it.")
@timeout
@socket_path
@as_json
@click.pass_context
def command(
    ctx: click.Context,
    account: str,
    instance: str,
    host: str,
    attempt: int,
    count: int,
    families: tuple[str, ...],
    pools: tuple[str, ...],
    addresses: tuple[str, ...],
    wait_ready: bool,
    timeout_ms: int,
    socket: str | None,
    is_json: bool,
) -> None:
    """Addresses for INSTANCE of ACCOUNT; asked for again, the same ones are told.

    Exit status 1 also where --wait-ready waits in vain: the addresses are bound then, and told.
    """
    named = (
        *(Want(family=FAMILIES[family]) for family in families),
        *(Want(pool=pool) for pool in pools),
        *(Want(logical=address) for address in addresses),
    )
    until_ms = deadline_ms(timeout_ms)
    request = CreateRequest(
        account=account,
        instance=instance,
        host=host,
        attempt=attempt,
        wants=named or (Want(),) * count,
        deadline_ms=until_ms,
    )

    async def ask(client: LocalClient) -> tuple[Created, ReadyAnswer]:
        created = await client.create(request)
        return created, await client.ready(created, deadline_ms=until_ms if wait_ready else 0)

    created, ready = with_client(socket, ask)
    if is_json:
        print_json({"created": created, "ready": ready})
    else:
        click.echo("\n".join(_lines(created, ready)))
    if wait_ready and not ready.is_ready:
        ctx.exit(1)


def _lines(created: Created, ready: ReadyAnswer) -> list[str]:
    lines = [
        f"{placed.logical} -> {placed.physical} on {placed.host}: {placed.outcome.value} ({placed.cause})"
        for placed in created.addresses
    ]
    if ready.is_ready:
        lines.append("ready on every host")
    else:
        lines.append(f"not ready yet on {', '.join(wait.host for wait in ready.waits)}")
    if ready.left_out:
        lines.append(f"lost hosts, not waited for: {', '.join(ready.left_out)}")
    return lines
