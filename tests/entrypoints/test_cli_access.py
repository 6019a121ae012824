"""`addrcast access`, `policy` and `shards`, called."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.entrypoints.cli import answer, run
from tests.integration.guarded import PASSWORD, ROOT, guarded_etcd

from addrcast.adapters.stores.etcd_auth import EtcdAuth
from addrcast.adapters.stores.etcd_store import EtcdStore
from addrcast.adapters.stores.lmdb_store import LmdbStore
from addrcast.core.controller.standing import shard_key
from addrcast.core.domain.access import Mode, Where
from addrcast.core.domain.codec import encode
from addrcast.core.domain.keyspace import host_key, subscription_key
from addrcast.core.domain.record import Host, HostState, Subscription
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.runtime.election import renumber

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.etcd import Etcd

    from addrcast.core.domain.access import Rights


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with guarded_etcd(tmp_path_factory.mktemp("guarded")) as node:
        yield node


@pytest.fixture
def address(node: Etcd, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ADDRCAST_STORE_USER", ROOT)
    monkeypatch.setenv("ADDRCAST_STORE_PASSWORD", PASSWORD)
    return f"etcd://{node.endpoint}/cli"


def put(node: Etcd, *puts: Put) -> None:
    async def act() -> None:
        store = await EtcdStore.open([node.endpoint], credentials=(ROOT, PASSWORD), root="cli/")
        await store.commit([Transaction((), (each,)) for each in puts])
        await store.close()

    asyncio.run(act())


def rights(node: Etcd, role: str) -> Rights | None:
    async def look() -> Rights | None:
        auth = await EtcdAuth.open([node.endpoint], credentials=(ROOT, PASSWORD), root="cli/")
        found = await auth.rights(role)
        users = await auth.users()
        await auth.close()
        assert found is None or role != "addrcast-cli-agent-h1" or "h1" in users
        return found

    return asyncio.run(look())


def test_access_sets_up_all_roles_and_then_has_nothing_to_change(node: Etcd, address: str) -> None:
    put(node, Put(host_key("h1"), encode(Host(state=HostState.UP, incarnation=0, blocks=()))))
    changed = answer("access", "--store", address, "--users")["changed"]
    assert "addrcast-cli-api: made" in changed
    assert "addrcast-cli-agent-h1: store_epoch granted to read" in changed
    assert "user h1: made, without a password" in changed
    assert answer("access", "--store", address, "--users") == {"changed": []}
    found = rights(node, "addrcast-cli-agent-h1")
    assert found is not None
    assert found[Where("host.h1")] == Mode.BOTH


def test_access_follows_until_it_is_told_to_end(node: Etcd, address: str) -> None:
    put(node, Put(host_key("h2"), encode(Host(state=HostState.UP, incarnation=0, blocks=()))))
    command = "from addrcast.entrypoints.cli import main; main()"
    called = [sys.executable, "-c", command, "access", "--store", address, "--follow"]
    following = subprocess.Popen(called, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        assert following.stderr is not None
        while "addrcast-cli-agent-h2: made" not in (line := following.stdout.readline()):
            assert line, following.stderr.read()
        put(node, Put(subscription_key("h2", "a"), encode(Subscription())))
        while "addrcast-cli-agent-h2: account a granted" not in (line := following.stderr.readline()):
            assert line
        found = rights(node, "addrcast-cli-agent-h2")
        assert found is not None
        assert found[Where("network_address.a.", is_prefix=True)] == Mode.READ
        following.send_signal(signal.SIGTERM)
        assert following.wait(20) == 0
    finally:
        following.kill()
        following.communicate()


def test_access_is_for_etcd_and_for_root(node: Etcd, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run("access", "--store", "consul://127.0.0.1:1", "--json")
    assert json.loads(refused.stdout)["error"] == "invalid"
    assert "addrcast policy" in refused.stdout
    monkeypatch.setenv("ADDRCAST_STORE_PASSWORD", "wrong")
    assert "does not know this user" in run("access", "--store", address).stderr


def test_policy_prints_the_rules_of_a_role() -> None:
    rules = run("policy", "agent", "--host", "h1", "--account", "acme").stdout.splitlines()
    assert 'key_prefix "addrcast/key/network_address.acme." { policy = "read" }' in rules
    assert 'key_prefix "addrcast/key/host_applied.h1." { policy = "write" }' in rules
    assert not any('key/network_address." ' in rule for rule in rules)
    told = answer("policy", "api", "--root", "cloud")
    assert told["role"] == "api"
    assert 'key_prefix "cloud/key/network_address." { policy = "write" }' in told["rules"]
    for wrong in (("policy", "agent"), ("policy", "api", "--host", "h1")):
        assert "--host" in run(*wrong).stderr


def test_shards_shows_and_changes_their_number(tmp_path: Path) -> None:
    async def fill() -> None:
        store = await LmdbStore.open(tmp_path)
        await renumber(store, 4)
        await store.commit([Transaction((), (Put(shard_key(1), b"c1 77"),))])
        await store.close()

    asyncio.run(fill())
    leaders = {"0": None, "1": "c1 77", "2": None, "3": None}
    assert answer("shards", "--store", tmp_path) == {"shards": 4, "leaders": leaders, "candidates": []}
    assert run("shards", "--store", tmp_path).stdout.splitlines()[:3] == [
        "4 shards, 0 candidates",
        "0: nobody",
        "1: c1 77",
    ]
    assert answer("shards", "--store", tmp_path, "--to", "2")["leaders"] == {"0": None, "1": None}
