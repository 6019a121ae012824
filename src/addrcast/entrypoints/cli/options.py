"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from addrcast.core.domain.errors import Invalid
from addrcast.runtime.store_address import StoreKind, parse_store_address

if TYPE_CHECKING:
    from collections.abc import Callable


class OutputFile(click.Path):
    """A file to write, in a folder that is there: told before the work that fills it, not after."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Fails where its folder is absent."""
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"Folder '{path.parent}' does not exist; make it first.", param, ctx)
        return path


history_file = click.argument("file", type=click.Path(exists=True, dir_okay=False))


class StoreText(click.ParamType[str]):
    """The address of a store; the folder of an embedded one is there."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address. Fails where it names no store, or a folder that is absent."""
        try:
            address = parse_store_address(str(value))
        except Invalid as fault:
            self.fail(f"{fault}.", param, ctx)
        if address.kind is StoreKind.EMBEDDED and not Path(address.folder).is_dir():
            self.fail(f"Directory '{address.folder}' does not exist.", param, ctx)
        return str(value)


store_path = click.option(
    "--store",
    "store",
    required=True,
    type=StoreText(),
    help="Folder of an embedded store, such as out/demo/store, or etcd://HOST:PORT or consul://HOST:PORT.",
)

_HISTORY = (
    click.option(
        "--columns",
        default=None,
        metavar="NAME=COLUMN,...",
        help="Where the file's columns have other names: account_id=user,created=start,deleted=end,count=procs.",
    ),
    click.option("--accounts", default=None, metavar="GLOB", help="Only accounts whose id matches."),
    click.option("--step", "step_s", type=click.IntRange(1), metavar="SECONDS", help="Resample to this step."),
    click.option(
        "--profile",
        default=None,
        metavar="METRIC=CAPACITY,...",
        help="What one instance carries of each metric, with target, min and max: cpu=2,memory=8,target=0.7,min=1.",
    ),
)


def history_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a history file is read."""
    for option in reversed(_HISTORY):
        command = option(command)
    return command
