"""`addrcast adopt FILE`: addresses that are in use already, imported as bound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.options import store_path
from addrcast.entrypoints.cli.progress import progress
from addrcast.entrypoints.cli.store import with_store
from addrcast.runtime.adopt import Adopted, adopt_all
from addrcast.runtime.adoption_file import read_adoption
from addrcast.runtime.driver import SystemClock

if TYPE_CHECKING:
    from addrcast.core.domain.adoption import RowFault
    from addrcast.ports.store import Store

SHOWN_MAX = 1_000


class FaultRow(msgspec.Struct, frozen=True):
    """A line that cannot be adopted."""

    line: int
    column: str
    value: str
    rule: str


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@store_path
@click.option("--partial", "is_partial", is_flag=True, help="Adopt the other lines where some are at fault.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Check every line, and change nothing.")
@as_json
@click.pass_context
def command(ctx: click.Context, file: Path, store: str, is_partial: bool, is_dry: bool, is_json: bool) -> None:
    """Import addresses that instances have already, from a CSV file.

    Columns: account, logical, instance, physical or host or both, and perhaps attempt. All lines are checked before
    anything is written; adopting a file again goes on where it was broken off. The exit status is 1 where a line is
    at fault.
    """
    rows, unreadable = read_adoption(file)

    async def act(opened: Store) -> Adopted:
        with progress("adopted") as advance:
            return await adopt_all(
                opened,
                rows,
                now_ms=SystemClock().now_ms(),
                unreadable=unreadable,
                is_partial=is_partial,
                is_dry=is_dry,
                advance=advance,
            )

    found = with_store(store, act)
    faults = [_fault_row(fault) for fault in found.faults]
    if is_json:
        print_json({"instances": found.instances, "present": found.present, "faults": faults})
    else:
        verb = "could be adopted" if is_dry else "are adopted"
        click.echo(f"{found.instances:,} instances {verb}, {found.present:,} addresses were there already")
        click.echo("".join(_lines(faults)), nl=False, err=True)
    if faults:
        ctx.exit(1)


def _fault_row(fault: RowFault) -> FaultRow:
    reason: Invalid = fault.reason
    return FaultRow(fault.line, reason.field, str(reason.value), reason.rule)


def _lines(faults: list[FaultRow]) -> list[str]:
    lines = [
        f"line {row.line}, {row.column}: {row.value!r} is not valid: {row.rule}\n" for row in faults[:SHOWN_MAX]
    ]
    if len(faults) > SHOWN_MAX:
        lines.append(f"and {len(faults) - SHOWN_MAX:,} more lines at fault\n")
    return lines
