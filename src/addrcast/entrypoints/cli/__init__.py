"""The command line: one module a command, loaded only when it is called."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import click

from addrcast.core.domain.errors import AddrcastError

COMMANDS = ("demo", "replay", "forecast", "plan", "explain", "check")


class Commands(click.Group):
    """Finds a command in the module of its name, and tells expected failures in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an expected failure ends with status 1 and its message, as JSON where that was asked."""
        try:
            return super().invoke(ctx)
        except AddrcastError as error:
            if "--json" in sys.argv:
                fault = {"error": type(error).__name__.lower(), "message": str(error)}
                click.echo(json.dumps(fault))
            else:
                click.echo(f"{click.style('error', fg='red')}: {error}", err=True)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="addrcast")
def main() -> None:
    """Predictive shadowing of private network addresses for clouds."""
