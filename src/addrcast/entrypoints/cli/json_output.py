"""`--json`: the option, and the one value that a command then prints."""

from __future__ import annotations

import click
import msgspec

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON value instead of text.")


def print_json(value: object) -> None:
    """Print a value as one line of JSON; a figure that is not finite is null."""
    click.echo(msgspec.json.encode(value).decode())
