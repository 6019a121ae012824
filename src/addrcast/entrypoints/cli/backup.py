"""`addrcast backup`: a store at one revision as a file, and whether such a file is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from addrcast.adapters.backup_file import BackupHeader, BackupTrailer, verified
from addrcast.entrypoints.cli.json_output import as_json, print_json
from addrcast.entrypoints.cli.open_stores import ADDRESSES, StoreThere, name_of, opened_store
from addrcast.entrypoints.cli.options import OutputFile
from addrcast.entrypoints.cli.progress import progress
from addrcast.runtime.backup import back_up
from addrcast.runtime.driver import SystemClock


@click.command()
@click.argument("verify", nargs=-1, metavar="[verify FILE]")
@click.option("--store", "store", type=StoreThere(), default=None, help=f"The store to back up. {ADDRESSES}")
@click.option("-o", "--out", "out", type=OutputFile(), default=None, help="The file to write: -o nightly.addrcast")
@click.option("--compress", "is_compressed", is_flag=True, help="Write it with gzip.")
@as_json
def command(
    verify: tuple[str, ...], store: str | None, out: Path | None, is_compressed: bool, is_json: bool
) -> None:
    """Write all that a store holds at one revision into a file, or look whether such a FILE is whole.

    The store may be in use. The file appears once it is whole; only its owner may read it.
    """
    if verify:
        header, trailer = _verified(verify)
    elif store is None or out is None:
        raise click.UsageError("Missing option '--store' or '-o'; or call it with verify FILE.")
    else:
        header, trailer = asyncio.run(_back_up(store, out, is_compressed=is_compressed))
    if is_json:
        print_json(as_answer(header, trailer))
    else:
        click.echo(
            f"{trailer.keys:,} keys of {header.store} at revision {header.revision:,}, epoch {header.epoch},"
            f" schema {header.schema}, sha256 {trailer.sha256[:16]}: {'whole' if verify else out}"
        )


def as_answer(header: BackupHeader, trailer: BackupTrailer) -> dict[str, Any]:
    """What is said of a backup as JSON."""
    return {
        "store": header.store,
        "revision": header.revision,
        "epoch": header.epoch,
        "schema": header.schema,
        "made_ms": header.made_ms,
        "keys": trailer.keys,
        "sha256": trailer.sha256,
    }


def _verified(words: tuple[str, ...]) -> tuple[BackupHeader, BackupTrailer]:
    if len(words) != 2 or words[0] != "verify":
        raise click.UsageError(f"'{' '.join(words)}' is not expected; 'verify FILE' is.")
    with progress("verifying"):
        backup = verified(Path(words[1]))
    return backup.header, backup.trailer


async def _back_up(store: str, out: Path, *, is_compressed: bool) -> tuple[BackupHeader, BackupTrailer]:
    async with opened_store(store, option="--store") as opened:
        with progress("backing up") as advance:
            return await back_up(
                opened,
                out,
                clock=SystemClock(),
                name=name_of(store),
                is_compressed=is_compressed,
                tell=lambda keys: advance(keys, 0),
            )
