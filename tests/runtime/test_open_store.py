"""Addresses of stores: what they name, what is refused and how, and that secrets stay out of sight."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.domain.errors import Invalid
from addrcast.runtime.open_store import StoreOptions, open_store
from addrcast.runtime.store_address import StoreAddress, StoreKind, parse_store_address

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("out/store", StoreAddress(StoreKind.EMBEDDED, folder="out/store")),
        ("embedded:/var/lib/a:b", StoreAddress(StoreKind.EMBEDDED, folder="/var/lib/a:b")),
        ("etcd://a", StoreAddress(StoreKind.ETCD, endpoints=("a:2379",))),
        (
            "etcd://a:1,b.c:2,[::1]:3/x/y/",
            StoreAddress(StoreKind.ETCD, endpoints=("a:1", "b.c:2", "[::1]:3"), root="x/y"),
        ),
        ("etcd://[fe80::1]", StoreAddress(StoreKind.ETCD, endpoints=("[fe80::1]:2379",))),
        ("CONSUL://localhost/cloud", StoreAddress(StoreKind.CONSUL, endpoints=("localhost:8500",), root="cloud")),
    ],
)
def test_an_address_names_a_store_and_is_written_as_it_is_read(text: str, found: StoreAddress) -> None:
    assert parse_store_address(text) == found
    assert parse_store_address(str(found)) == found


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "a folder, embedded:FOLDER"),
        ("embedded:", "a folder, embedded:FOLDER"),
        ("etcdd://a:1", "did you mean etcd://"),
        ("redis://a:1", "a folder, embedded:FOLDER"),
        ("etcd://", "is no HOST:PORT"),
        ("etcd://a:1,,b:2", "is no HOST:PORT"),
        ("etcd://a:0", "is no HOST:PORT"),
        ("etcd://a:99999", "is no HOST:PORT"),
        ("etcd://::1:2379", "is no HOST:PORT"),
        ("etcd://a:1/x//y", "a root is words"),
        ("etcd://a:1/x y", "a root is words"),
        ("consul://a:1,b:2", "one agent"),
    ],
)
def test_an_address_that_names_no_store_is_refused_with_the_way_out(text: str, rule: str) -> None:
    with pytest.raises(Invalid, match="store address") as refused:
        parse_store_address(text)
    assert rule in refused.value.rule


def test_a_password_in_an_address_is_refused_without_showing_it() -> None:
    with pytest.raises(Invalid) as refused:
        parse_store_address("etcd://root:hunter2@a:1")
    assert "hunter2" not in str(refused.value)


def test_options_show_no_secret() -> None:
    shown = repr(StoreOptions(user="root", password="hunter2", token="t0ken"))  # noqa: S106
    assert "root" in shown
    assert "hunter2" not in shown
    assert "t0ken" not in shown


async def test_a_folder_is_an_embedded_store(tmp_path: Path) -> None:
    store = await open_store(f"embedded:{tmp_path}/store")
    assert isinstance(store, LmdbStore)
    await store.close()


@pytest.mark.parametrize(("scheme", "library"), [("etcd", "grpc"), ("consul", "httpx")])
def test_a_missing_library_is_told_with_the_extra_that_brings_it(scheme: str, library: str) -> None:
    code = (
        "import asyncio, sys\n"
        f"sys.modules[{library!r}] = None\n"
        "from addrcast.core.domain.errors import Invalid\n"
        "from addrcast.runtime.open_store import open_store\n"
        "try:\n"
        f"    asyncio.run(open_store('{scheme}://localhost:1'))\n"
        "except Invalid as refused:\n"
        "    print(refused.rule)\n"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'addrcast[{scheme}]'" in seen.stdout
