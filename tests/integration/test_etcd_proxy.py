"""Watchers behind etcd's own gRPC proxy: they get all there is, and the cluster sees few of them."""

from __future__ import annotations

import asyncio
import tempfile
import urllib.request
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contracts.words import change
from tests.servers.etcd import QUICK, Etcd, etcd_node
from tests.servers.process import Server, binary, free_ports

from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.core.domain.transaction import Compare, Put

if TYPE_CHECKING:
    from collections.abc import Iterator

WATCHERS, WRITES = 20, 100


@contextmanager
def proxy(directory: Path, node: Etcd) -> Iterator[str]:
    (port,) = free_ports(1)
    endpoint = f"127.0.0.1:{port}"
    command = [
        str(binary("etcd")),
        "grpc-proxy",
        "start",
        f"--endpoints={node.endpoint}",
        f"--listen-addr={endpoint}",
    ]
    server = Server([*command, f"--advertise-client-url={endpoint}"], log=directory / "proxy.log")
    server.start()
    try:
        server.wait_until(Etcd("proxy", endpoint, server).is_healthy)
        yield endpoint
    finally:
        server.stop()


def watchers_of(node: Etcd) -> int:
    with urllib.request.urlopen(f"http://{node.endpoint}/metrics", timeout=10) as answer:
        (line,) = [one for one in answer if one.startswith(b"etcd_debugging_mvcc_watcher_total ")]
    return round(float(line.split()[1]))


async def follow(store: EtcdStore, after: int) -> list[tuple[int, str]]:
    seen: list[tuple[int, str]] = []
    async with aclosing(store.watch(["k."], after_revision=after)) as changes:
        async for each in changes:
            seen += [(each.revision, event.key) for event in each.events]
            if len(seen) == WRITES:
                return seen
    raise AssertionError("the watch ended")


async def test_many_watchers_behind_a_proxy_are_few_for_the_cluster_and_miss_nothing() -> None:
    with tempfile.TemporaryDirectory() as name, etcd_node(Path(name)) as node, proxy(Path(name), node) as endpoint:
        store = await EtcdStore.open([endpoint])
        begin = (await store.read([])).revision
        tasks = [asyncio.create_task(follow(store, begin)) for _ in range(WATCHERS)]
        written = []
        for number in range(WRITES):
            take = change(Put(f"k.{number}", b""), when=[Compare(f"k.{number}", 0)])
            first, second = await store.commit([take, take])
            assert (first.is_success, second.is_success) == (True, False)
            written.append((first.revision, f"k.{number}"))
        assert watchers_of(node) < WATCHERS / 2
        assert await asyncio.gather(*tasks) == [written] * WATCHERS
        await store.close()


async def test_several_ranges_come_whole_and_in_order_through_a_proxy_though_it_tells_no_progress() -> None:
    flags = (*QUICK, "--experimental-watch-progress-notify-interval=100ms")
    with (
        tempfile.TemporaryDirectory() as name,
        etcd_node(Path(name), flags=flags) as node,
        proxy(Path(name), node) as endpoint,
    ):
        store = await EtcdStore.open([endpoint])
        begin = (await store.read([])).revision
        written = []
        async with asyncio.timeout(60), aclosing(store.watch(["k.a.", "k.b."], after_revision=begin)) as changes:
            for number in range(20):
                key = f"k.{'ab'[number % 2]}.{number}"
                (result,) = await store.commit([change(Put(key, b""))])
                written.append((result.revision, key))
            seen: list[tuple[int, str]] = []
            while len(seen) < len(written):
                each = await anext(changes)
                seen += [(each.revision, event.key) for event in each.events]
        assert seen == written
        await store.close()
