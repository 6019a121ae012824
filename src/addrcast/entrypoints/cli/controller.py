"""`addrcast controller`: what has to be done for the shards that it leads."""

from __future__ import annotations

import sys

import click

from addrcast.entrypoints.cli.settings_options import settings_options
from addrcast.runtime.roles.start import run_controller
from addrcast.runtime.settings import ControllerRoleSettings
from addrcast.runtime.settings_sources import Loaded


@click.command()
@settings_options(ControllerRoleSettings)
def command(loaded: Loaded[ControllerRoleSettings]) -> None:
    """A controller; of several, each leads its shards of accounts."""
    sys.exit(run_controller(loaded))
