"""The command line: one module a command, loaded only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from addrcast.core.domain.errors import AddrcastError, Invalid
from addrcast.entrypoints.cli.json_output import print_json

COMMANDS = {
    "demo": "Two days of three real fleets through the whole system.",
    "replay": "Our planning over a trace, beside what other policies would have done.",
    "forecast": "Quantiles of the instance counts of a history file.",
    "serve": "Everything in one process: store, assignment service, controller, agent.",
    "create": "Addresses for an instance.",
    "delete": "An instance is gone.",
    "status": "Is a role's process ready, and what does it wait for?",
    "backtest": "How good each engine's forecasts of a history file would have been.",
    "plan": "What every account of a store shall hold idle, and what it holds.",
    "explain": "Why an account of a store holds what it holds.",
    "check": "Is a store sound?",
    "epoch": "Does a store take creates, and what does it wait for?",
    "backup": "A store at one revision, into a file.",
    "restore": "An empty store gets what a backup holds.",
    "migrate": "A store moves to another one.",
    "upgrade": "A store is switched to the newest version of the schema.",
    "apply": "Tiers, pools, hosts and accounts as a file declares them.",
    "drain": "An account, a host, a pool takes no new use.",
    "remove": "An account, a host, a pool goes once nothing of it is left.",
    "adopt": "Addresses that are in use already, imported as bound.",
    "api": "A replica of the assignment service.",
    "controller": "What has to be done for the shards that it leads.",
    "agent": "The translation table of one host.",
    "shards": "How many shards the controllers go by, and who leads them.",
    "access": "The roles of a store on etcd, set up and kept.",
    "policy": "The rules of a Consul policy for a role.",
    "settings": "What is in effect for a role, and where it comes from.",
}
FAILED, MISUSED = 1, 2
_HEAVY = frozenset({"numpy", "polars", "lightgbm"})
_IS_JSON = f"{__name__}.is_json"


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
            extra = "demo" if cmd_name == "demo" else "server"
            raise Invalid(cmd_name, error.name, f"it is not installed: pip install 'addrcast[{extra}]'") from None
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether JSON is asked for, since a command's own options are not read yet when it fails."""
        ctx.meta[_IS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an expected failure ends with its message in one line, as JSON where that was asked.

        The exit status is 2 for a command that was called wrongly, 1 for any other failure.
        """
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            called = error.ctx.command_path if error.ctx is not None else ctx.command_path
            _fail(ctx, "usage", f"{error.format_message()} See {called} -h.", status=MISUSED)
        except AddrcastError as error:
            _fail(ctx, type(error).__name__.lower(), str(error), status=FAILED)
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; click ends in silence
        except OSError as error:
            where = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            _fail(ctx, "file", where, status=FAILED)


def _fail(ctx: click.Context, kind: str, message: str, *, status: int) -> None:
    line = " ".join(message.split())
    if ctx.meta[_IS_JSON]:
        print_json({"error": kind, "message": line})
    else:
        click.echo(f"{click.style('error', fg='red')}: {line}", err=True)
    ctx.exit(status)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="addrcast")
def main() -> None:
    """Predictive shadowing of private network addresses for clouds."""
