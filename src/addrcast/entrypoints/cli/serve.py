"""`addrcast serve`: everything in one process."""

from __future__ import annotations

import sys

import click

from addrcast.entrypoints.cli.settings_options import settings_options
from addrcast.runtime.roles.start import run_serve
from addrcast.runtime.settings import ServeSettings
from addrcast.runtime.settings_sources import Loaded


@click.command()
@settings_options(ServeSettings)
def command(loaded: Loaded[ServeSettings]) -> None:
    """Everything in one process: assignment service, controller, and an agent where --host names its host.

    A new folder of an embedded store is set up.
    """
    sys.exit(run_serve(loaded))
