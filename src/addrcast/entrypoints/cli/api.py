"""`addrcast api`: a replica of the assignment service."""

from __future__ import annotations

import sys

import click

from addrcast.entrypoints.cli.settings_options import settings_options
from addrcast.runtime.roles.start import run_api
from addrcast.runtime.settings import ApiSettings
from addrcast.runtime.settings_sources import Loaded


@click.command()
@settings_options(ApiSettings)
def command(loaded: Loaded[ApiSettings]) -> None:
    """A replica of the assignment service."""
    sys.exit(run_api(loaded))
