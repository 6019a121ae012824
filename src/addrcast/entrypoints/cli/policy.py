"""`addrcast policy ROLE`: the rules of a Consul policy for a role."""

from __future__ import annotations

import click

from addrcast.core.domain.access import agent_rights, api_rights, controller_rights, operator_rights
from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.json_output import as_json, print_json

SERVICES = {"api": api_rights, "controller": controller_rights, "operator": operator_rights}


@click.command()
@click.argument("role", type=click.Choice([*SERVICES, "agent"]))
@click.option("--host", default="", metavar="HOST", help="Of an agent: its host.")
@click.option("--account", "accounts", multiple=True, metavar="ACCOUNT", help="Of an agent: one that it serves.")
@click.option("--root", default="addrcast", metavar="PATH", help="Where the store lies in Consul.")
@as_json
def command(role: str, host: str, accounts: tuple[str, ...], root: str, is_json: bool) -> None:
    """Print the rules of a Consul policy for a role."""
    from addrcast.adapters.stores.consul_policy import policy_of  # noqa: PLC0415 - loads the store's messages

    if (role == "agent") != bool(host):
        raise Invalid("--host", host, "it goes with the role agent, and must be named there")
    rights = agent_rights(host, accounts) if role == "agent" else SERVICES[role]()
    rules = policy_of(rights, root=root)
    if is_json:
        print_json({"role": role, "rules": rules})
    else:
        click.echo(rules, nl=False)
