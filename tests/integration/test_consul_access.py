"""Who may do what on Consul: tokens with few rights, and TLS with certificates on both sides."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.contracts.words import change, commit, get, keys, put
from tests.servers.consul import SESSION_MS_MIN, Consul, consul_server
from tests.servers.process import binary, free_ports

from addrcast.adapters.stores import consul_watch
from addrcast.adapters.stores.consul_http import Denied, Tls
from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.core.domain.errors import Invalid, Unavailable
from addrcast.core.domain.transaction import Change, Compare, Event, Put

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MASTER = str(uuid4())
# what the operator's page gives a host's agent, here for host h1 and account acme
AGENT = """
key_prefix "addrcast/key/network_address.acme." { policy = "read" }
key_prefix "addrcast/removed/network_address.acme." { policy = "read" }
key_prefix "addrcast/key/host_applied.h1." { policy = "write" }
key_prefix "addrcast/removed/host_applied.h1." { policy = "write" }
key_prefix "addrcast/key/host_alive.h1" { policy = "write" }
key_prefix "addrcast/removed/host_alive.h1" { policy = "write" }
key_prefix "addrcast/meta/" { policy = "write" }
key_prefix "addrcast/lease/" { policy = "write" }
key_prefix "addrcast/leased/" { policy = "write" }
session_prefix "" { policy = "write" }
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consul]:
    """A server that denies whatever no policy allows."""
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER, "agent": MASTER}}
    directory = tmp_path_factory.mktemp("guarded")
    with consul_server(directory, settings={"acl": acl}, token=MASTER) as consul:
        yield consul


def ask(consul: Consul, path: str, what: dict[str, object]) -> dict[str, str]:
    request = urllib.request.Request(
        f"http://{consul.address}{path}",
        data=json.dumps(what).encode(),
        headers={"X-Consul-Token": MASTER},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, str] = json.load(answer)
        return found


def policy(consul: Consul, rules: str) -> str:
    return ask(consul, "/v1/acl/policy", {"Name": uuid4().hex, "Rules": rules})["ID"]


def token(consul: Consul, policy_id: str) -> str:
    return ask(consul, "/v1/acl/token", {"Policies": [{"ID": policy_id}]})["SecretID"]


@asynccontextmanager
async def opened(consul: Consul, secret: str, *, root: str = "addrcast") -> AsyncIterator[ConsulStore]:
    store = await ConsulStore.open(consul.address, token=secret, root=root, session_ms_min=SESSION_MS_MIN)
    try:
        yield store
    finally:
        await store.close()


async def test_an_agents_token_reads_its_accounts_and_writes_its_own_keys_and_nothing_else(guarded: Consul) -> None:
    async with (
        opened(guarded, MASTER) as master,
        opened(guarded, token(guarded, policy(guarded, AGENT))) as agent,
    ):
        mine = await put(master, "network_address.acme.10.0.0.1", b"1")
        await put(master, "network_address.other.10.0.0.1", b"1")
        assert await keys(agent, "network_address.acme.") == ["network_address.acme.10.0.0.1"]
        lease = await agent.grant(ttl_ms=60_000)
        await put(agent, "host_alive.h1", lease=lease)
        await put(agent, "host_applied.h1.acme", b"%d" % mine)
        assert await get(master, "host_applied.h1.acme") is not None
        with pytest.raises(Denied, match="denied"):
            await agent.scan("network_address.other.")
        with pytest.raises(Denied):
            await agent.scan("network_address.")
        with pytest.raises(Denied):
            await agent.read(["network_address.other.10.0.0.1"])
        with pytest.raises(Denied):
            await agent.read(["network_address.other.absent"])
        with pytest.raises(Denied):
            await anext(agent.watch(["network_address.other."], after_revision=0))
        for key in ("network_address.acme.10.0.0.1", "host_applied.h2.acme", "host_alive.h2"):
            with pytest.raises(Denied):
                await put(agent, key, b"2")
        peek = Compare("network_address.other.10.0.0.1", 1)
        with pytest.raises(Denied):
            await commit(agent, change(Put("host_applied.h1.acme", b"2"), when=[peek]))
        await agent.revoke(lease)
        assert await get(master, "host_alive.h1") is None


async def test_a_token_that_loses_its_rights_is_told_so_and_never_shown_removals(
    guarded: Consul, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consul_watch, "WAIT_MS", 300)
    monkeypatch.setattr(consul_watch, "CHECK_S", 0.3)
    rights = policy(guarded, AGENT)
    async with opened(guarded, MASTER) as master, opened(guarded, token(guarded, rights)) as agent:
        revision = await put(master, "network_address.acme.10.0.0.2")
        async with (
            asyncio.timeout(30),
            aclosing(agent.watch(["network_address.acme."], after_revision=revision - 1)) as changes,
        ):
            event = Event("network_address.acme.10.0.0.2", b"", revision, revision)
            assert await anext(changes) == Change(revision, (event,))
            few = "\n".join(line for line in AGENT.splitlines() if "network_address" not in line)
            ask(guarded, f"/v1/acl/policy/{rights}", {"ID": rights, "Name": uuid4().hex, "Rules": few})
            with pytest.raises(Denied):
                await anext(changes)


async def test_tokens_that_are_none_or_may_not_make_a_store_are_refused_at_the_start(guarded: Consul) -> None:
    for secret, said in ((str(uuid4()), "ACL not found"), ("", "denied")):
        with pytest.raises(Denied, match=said):
            await ConsulStore.open(guarded.address, token=secret, root="new")


async def test_a_lease_that_others_must_end_does_not_stop_the_ending_of_ones_own(guarded: Consul) -> None:
    async with (
        opened(guarded, MASTER) as master,
        opened(guarded, token(guarded, policy(guarded, AGENT))) as agent,
    ):
        await put(master, "elsewhere", lease=await master.grant(ttl_ms=SESSION_MS_MIN))
        await master.close()
        await put(agent, "host_alive.h1", lease=await agent.grant(ttl_ms=SESSION_MS_MIN))
        async with asyncio.timeout(20), aclosing(agent.watch(["host_alive.h1"], after_revision=0)) as changes:
            async for each in changes:
                if any(event.value is None for event in each.events):
                    break
    async with opened(guarded, MASTER) as master, asyncio.timeout(20):
        async with aclosing(master.watch(["elsewhere"], after_revision=0)) as changes:
            async for each in changes:
                if any(event.value is None for event in each.events):
                    break
        assert await get(master, "elsewhere") is None


def certificates(directory: Path) -> None:
    for words in (["ca", "create"], ["cert", "create", "-server"], ["cert", "create", "-client"]):
        subprocess.run([binary("consul"), "tls", *words], cwd=directory, check=True, capture_output=True)


async def test_tls_with_certificates_on_both_sides_and_no_other(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    for directory in (ours, other):
        directory.mkdir()
        certificates(directory)
    (port,) = free_ports(1)
    settings = {
        "ca_file": f"{ours}/consul-agent-ca.pem",
        "cert_file": f"{ours}/dc1-server-consul-0.pem",
        "key_file": f"{ours}/dc1-server-consul-0-key.pem",
        "verify_incoming_https": True,
        "ports": {"https": port},
    }
    client = f"{ours}/dc1-client-consul-0.pem", f"{ours}/dc1-client-consul-0-key.pem"
    with consul_server(tmp_path / "server", settings=settings):
        address = f"127.0.0.1:{port}"
        store = await ConsulStore.open(address, tls=Tls(f"{ours}/consul-agent-ca.pem", *client))
        await put(store, "a", b"1")
        assert await keys(store) == ["a"]
        await store.close()
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await ConsulStore.open(address, tls=Tls(f"{other}/consul-agent-ca.pem", *client))
        with pytest.raises(Unavailable):
            await ConsulStore.open(address, tls=Tls(f"{ours}/consul-agent-ca.pem"))
        with pytest.raises(Invalid, match="PEM"):
            await ConsulStore.open(address, tls=Tls(f"{ours}/nothing.pem"))
