"""`addrcast settings ROLE`: what is in effect for a role, and where each setting comes from."""

from __future__ import annotations

import os

import click

from addrcast.entrypoints.cli.json_output import as_json
from addrcast.entrypoints.cli.settings_options import print_shown
from addrcast.runtime.settings import ROLES
from addrcast.runtime.settings_sources import load


@click.command()
@click.argument("role", type=click.Choice(tuple(ROLES)), default="serve")
@click.option("--settings", "settings_file", type=click.Path(dir_okay=False), help="Settings file in TOML.")
@as_json
def command(role: str, settings_file: str | None, is_json: bool) -> None:
    """What is in effect for ROLE (serve unless given) by file and environment; secrets are masked."""
    print_shown(load(ROLES[role], environ=os.environ, file=settings_file), is_json=is_json)
