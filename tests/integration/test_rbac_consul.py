"""The policy that `addrcast policy` prints, on a Consul that denies everything else."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.contracts.words import put
from tests.integration.guarded import resources
from tests.servers.consul import SESSION_MS_MIN, Consul, consul_server

from addrcast.adapters.stores.consul_policy import policy_of
from addrcast.adapters.stores.consul_store import ConsulStore
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.assignment.request import CreateRequest
from addrcast.core.dataplane.unapplied import Backoff
from addrcast.core.domain.access import Rights, agent_rights, api_rights
from addrcast.core.domain.errors import Denied
from addrcast.core.domain.keyspace import acknowledgement_key, host_alive_key, host_key, pool_key, record_key
from addrcast.runtime.agent import AgentService
from addrcast.runtime.assignment import AssignmentService
from addrcast.runtime.declare import declare, set_up
from addrcast.runtime.driver import SystemClock
from addrcast.runtime.view import LedgerView
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER = str(uuid4())
AGENT = AgentSettings(acknowledge_after_ms=20, confirm_after_ms=20, backoff=Backoff(first_ms=20, last_ms=200))


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consul]:
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER, "agent": MASTER}}
    with consul_server(tmp_path_factory.mktemp("guarded"), settings={"acl": acl}, token=MASTER) as consul:
        yield consul


class Tokens:
    """Stores opened with the master's token or with one of a policy."""

    def __init__(self, consul: Consul, stack: AsyncExitStack) -> None:
        self._consul = consul
        self._stack = stack

    async def opened(self, rights: Rights | None = None) -> ConsulStore:
        secret = (
            MASTER if rights is None else await asyncio.to_thread(self._token, policy_of(rights, root="addrcast"))
        )
        store = await ConsulStore.open(
            self._consul.address, token=secret, root="addrcast", session_ms_min=SESSION_MS_MIN
        )
        self._stack.push_async_callback(store.close)
        return store

    def _token(self, rules: str) -> str:
        policy = self._ask("/v1/acl/policy", {"Name": uuid4().hex, "Rules": rules})["ID"]
        return self._ask("/v1/acl/token", {"Policies": [{"ID": policy}]})["SecretID"]

    def _ask(self, path: str, what: dict[str, object]) -> dict[str, str]:
        address, body = f"http://{self._consul.address}{path}", json.dumps(what).encode()
        request = urllib.request.Request(address, body, {"X-Consul-Token": MASTER}, method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found: dict[str, str] = json.load(answer)
            return found


async def test_an_agent_and_an_api_work_with_the_printed_rules_and_do_nothing_beyond_them(consul: Consul) -> None:
    async with AsyncExitStack() as stack:
        tokens, clock, kernel = Tokens(consul, stack), SystemClock(), ModelKernel()
        master = await tokens.opened()
        await set_up(master)
        await declare(master, resources())
        mine = await tokens.opened(agent_rights("h1", ["a"]))
        agent = AgentService("h1", store=mine, kernel=kernel, clock=clock, settings=AGENT)
        running = asyncio.create_task(agent.run())
        service = await tokens.opened(api_rights())
        view = LedgerView(service)
        await view.start()
        stack.push_async_callback(view.stop)
        api = AssignmentService(service, view, clock)
        stack.push_async_callback(api.stop)
        async with asyncio.timeout(60):
            while agent.machine.phase.name != "UP":  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
            deadline_ms = clock.now_ms() + 30_000
            request = CreateRequest(account="a", instance="i1", host="h1", deadline_ms=deadline_ms)
            created = await api.create(request)
            while kernel.table.physical_of(7, created.addresses[0].logical) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        for foreign in ("network_address.b.", "network_address.", "instance.a.", "host.h2"):
            with pytest.raises(Denied):
                await mine.scan(foreign)
        for key in (
            record_key("a", "10.0.0.9"),
            acknowledgement_key("h2", "a"),
            host_alive_key("h2"),
            "store_epoch",
        ):
            with pytest.raises(Denied):
                await put(mine, key)
        for key in (host_key("h1"), pool_key("net"), "store_epoch", "election.controller.0"):
            with pytest.raises(Denied):
                await put(service, key)
