"""`addrcast status`: is a role's process ready, and what does it wait for?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.local import socket_path, with_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from addrcast.runtime.role_status import Status


@click.command()
@click.argument("role", type=click.Choice(("serve", "api", "controller", "agent")), default="serve")
@socket_path
@as_json
@click.pass_context
def command(ctx: click.Context, role: str, socket: str | None, is_json: bool) -> None:
    """How the process of ROLE (serve unless given) on this machine is; exit status 1 where it is not ready."""
    name = f"{'api' if role == 'serve' else role}.sock"
    status = with_client(socket, lambda client: client.status(), name=name)
    if is_json:
        print_json(status)
    else:
        click.echo("\n".join(_lines(status)))
    if not status.is_ready:
        ctx.exit(1)


def _lines(status: Status) -> Iterator[str]:
    state = "stops" if status.is_stopping else "is ready" if status.is_ready else "is not ready"
    since = f"{datetime.fromtimestamp(status.started_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield f"{status.role} {state}; version {status.version}, pid {status.pid}, since {since}"
    for what in status.waits_for:
        yield f"waits for {what}"
    store = status.store
    where = "" if store.revision is None else f" at revision {store.revision:,}, epoch {store.epoch}, {store.state}"
    yield f"store {store.address}: {'answers' if store.is_reached else 'does not answer'}{where}"
    if status.api is not None:
        api = status.api
        yield f"api {api.replica}: {api.answered:,} calls answered, {api.under_way:,} under way"
    if status.controller is not None:
        controller = status.controller
        leads = ", ".join(map(str, controller.leads)) or "none"
        leads = f"leads shards {leads} of {controller.shards}"
        yield f"controller {controller.name}: {leads}; plans by {controller.plans}"
    if status.agent is not None:
        agent = status.agent
        yield f"agent of {agent.host}: {agent.phase}, {agent.accounts:,} accounts, kernel table: {agent.kernel}"
        if agent.denied:
            yield f"agent of {agent.host} may not read yet: {', '.join(agent.denied)}"
