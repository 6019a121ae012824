"""What commands that drain and remove have in common: the kinds, and what is left."""

from __future__ import annotations

import click
import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.removals import Kind, Left
from addrcast.entrypoints.cli.json_output import print_json

kind_argument = click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
name_argument = click.argument("name")
prefixes_option = click.option(
    "--prefix", "prefixes", multiple=True, metavar="PREFIX", help="Of a pool, only this prefix; may be repeated."
)


class LeftFigures(msgspec.Struct, frozen=True):
    """What is left of something."""

    kind: str
    name: str
    addresses: dict[str, dict[str, int]]
    hosts: tuple[str, ...]
    is_gone: bool = False


def check_prefixes(kind: Kind, prefixes: tuple[str, ...]) -> None:
    """Raise Invalid where prefixes are given of what has none."""
    if prefixes and kind is not Kind.POOL:
        raise Invalid("--prefix", ", ".join(prefixes), f"only pools have prefixes, not {kind.value}s")


def show(kind: Kind, name: str, left: Left, *, verb: str, is_json: bool, prefixes: tuple[str, ...] = ()) -> None:
    """Print what is left: as JSON, or in a line after what was done."""
    what = f"{kind.value} {name}" if not prefixes else f"{', '.join(prefixes)} of {kind.value} {name}"
    if is_json:
        addresses: dict[str, dict[str, int]] = {}
        for (account, state), count in left.addresses.items():
            addresses.setdefault(account, {})[state] = count
        print_json(LeftFigures(kind.value, name, addresses, left.hosts, verb == "is gone"))
    elif verb == "is gone":
        click.echo(f"{what} is gone")
    else:
        click.echo(f"{what} {verb}; left of it: {left}")
