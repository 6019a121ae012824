"""`addrcast agent`: the translation table of one host."""

from __future__ import annotations

import sys

import click

from addrcast.entrypoints.cli.settings_options import settings_options
from addrcast.runtime.roles.start import run_agent
from addrcast.runtime.settings import AgentRoleSettings
from addrcast.runtime.settings_sources import Loaded


@click.command()
@settings_options(AgentRoleSettings)
def command(loaded: Loaded[AgentRoleSettings]) -> None:
    """The agent of one host: keeps its translation table as the store says."""
    sys.exit(run_agent(loaded))
