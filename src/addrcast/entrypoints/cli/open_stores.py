"""Stores that a command opens by their addresses, one that is to be filled among them."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from addrcast.core.domain.errors import Invalid
from addrcast.entrypoints.cli.options import StoreText as StoreThere
from addrcast.runtime.open_store import open_store
from addrcast.runtime.settings import StoreSettings
from addrcast.runtime.settings_sources import load
from addrcast.runtime.store_address import StoreKind, parse_store_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from addrcast.ports.store import Store

__all__ = ["ADDRESSES", "NewStore", "StoreThere", "name_of", "opened_store"]

ADDRESSES = "A folder, etcd://HOST:PORT or consul://HOST:PORT."


@asynccontextmanager
async def opened_store(address: str, *, option: str, is_new: bool = False) -> AsyncIterator[Store]:
    """The store at an address; user, token and files for TLS are as the settings say.

    Raises Invalid where no store is, unless one may be made there: `is_new`.
    """
    where = parse_store_address(address)
    is_embedded = where.kind is StoreKind.EMBEDDED
    if is_embedded and not is_new and not (Path(where.folder) / "data.mdb").exists():
        raise Invalid(option, address, "it holds no store")
    options = load(StoreSettings, environ=os.environ, flags={"store.address": address}).settings.store
    store = await open_store(where, options)
    try:
        yield store
    finally:
        await store.close()


def name_of(address: str) -> str:
    """What messages and marks call a store; there are no secrets in an address."""
    where = parse_store_address(address)
    return str(where) if where.kind is not StoreKind.EMBEDDED else f"embedded:{Path(where.folder).resolve()}"


class NewStore(click.ParamType[str]):
    """The address of a store that need not be there."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address. Fails where it names no store."""
        try:
            parse_store_address(str(value))
        except Invalid as fault:
            self.fail(f"{fault}.", param, ctx)
        return str(value)
