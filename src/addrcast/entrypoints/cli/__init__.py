"""The command line: one module a command, loaded only when it is called."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import click

from addrcast.core.domain.errors import AddrcastError, Invalid

COMMANDS = {
    "demo": "Two days of three real fleets through the whole system.",
    "replay": "Our planning over a trace, beside what other policies would have done.",
    "forecast": "Quantiles of the instance counts of a history file.",
    "plan": "What every account of a store shall hold idle, and what it holds.",
    "explain": "Why an account of a store holds what it holds.",
    "check": "Is a store sound?",
}
_HEAVY = frozenset({"numpy", "polars", "lightgbm"})


class Commands(click.Group):
    """Finds a command in the module of its name, and tells expected failures in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, None where there is none. Raises Invalid where a library is missing."""
        if cmd_name not in COMMANDS:
            return None
        try:
            command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        except ModuleNotFoundError as error:
            if error.name not in _HEAVY:
                raise
            raise Invalid(cmd_name, error.name, "it is not installed: pip install 'addrcast[server]'") from None
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
