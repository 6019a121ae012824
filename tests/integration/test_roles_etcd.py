"""Roles on etcd: they wait for it, say so, live through its absence, and go on when it is back."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from tests.integration.roles import Role, create, deadline_ms, declared
from tests.servers.etcd import etcd_node

from addrcast.core.domain.errors import OutcomeUnknown, Unavailable
from addrcast.core.domain.record import Host, HostState
from addrcast.runtime.local_call_client import LocalClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.etcd import Etcd

    from addrcast.runtime.role_status import Status


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    with etcd_node(tmp_path / "etcd") as node:
        yield node


@pytest.fixture
def roles(tmp_path: Path, etcd: Etcd) -> Iterator[dict[str, Role]]:
    """An api, a controller and an agent on a root of their own, started while the server is down."""
    etcd.server.kill()
    store = f"etcd://{etcd.endpoint}/cloud"
    found = {
        "api": Role("api", tmp_path, store),
        "controller": Role("controller", tmp_path, store, "--controller-lease-ms", "1000"),
        "agent": Role("agent", tmp_path, store, "--host", "h1", "--agent-lease-ms", "3000"),
    }
    for role in found.values():
        role.start()
    yield found
    for role in found.values():
        role.kill()


def waits_for_store(status: Status) -> bool:
    told = any("the store etcd://" in what for what in status.waits_for)
    return told and not status.store.is_reached and status.store.away_since_ms is not None


async def test_roles_wait_for_etcd_say_so_and_recover_from_its_absence(etcd: Etcd, roles: dict[str, Role]) -> None:
    every = list(roles.values())
    for status in await asyncio.gather(*(role.status_when(waits_for_store) for role in every)):
        assert not status.is_ready
        assert status.store.away_since_ms is not None
    etcd.server.start()
    etcd.server.wait_until(etcd.is_healthy)
    await declared(f"etcd://{etcd.endpoint}/cloud")
    await asyncio.gather(*(role.ready() for role in every))
    async with LocalClient(roles["api"].socket) as client:
        first = await client.create(create("web", "before", host="h1"))
        assert (await client.ready(first, deadline_ms=deadline_ms(10))).is_ready

        etcd.server.kill()
        with pytest.raises(Unavailable):
            await client.create(create("web", "meanwhile", seconds=0.5))
        for status in await asyncio.gather(*(role.status_when(waits_for_store) for role in every)):
            assert not status.is_ready
        etcd.server.start()
        etcd.server.wait_until(etcd.is_healthy)
        await asyncio.gather(*(role.ready() for role in every))

        again = await client.create(create("web", "before", host="h1"))
        assert (again.is_repeat, again.addresses) == (True, first.addresses)
        after = await client.create(create("web", "after", host="h1"))
        assert (await client.ready(after, deadline_ms=deadline_ms(20))).is_ready
    for role in every:
        role.signal(signal.SIGTERM)
    assert [await role.ended() for role in every] == [0, 0, 0]
    for role in every:
        said = [line for line in role.lines() if "does not answer" in line]
        assert len(said) >= 2, role.log.read_text()


async def test_a_role_that_waits_for_its_store_ends_when_it_is_told_to(etcd: Etcd, roles: dict[str, Role]) -> None:
    for role in roles.values():
        await role.status_when(waits_for_store)
        role.signal(signal.SIGTERM)
    assert [await role.ended() for role in roles.values()] == [0, 0, 0]


async def test_callers_are_told_in_time_though_the_store_hangs(etcd: Etcd, tmp_path: Path) -> None:
    store = f"etcd://{etcd.endpoint}"
    # a host that takes use without an agent
    await declared(store, ("h2", Host(state=HostState.UP, incarnation=1, blocks=("172.16.64.0/18",))))
    api = Role("api", tmp_path, store, "--store-deadline-ms", "30000")
    api.start()
    try:
        await api.ready()
        async with LocalClient(api.socket) as client:
            first = await client.create(create("web", "before"))
            etcd.server.send(signal.SIGSTOP)
            with pytest.raises(OutcomeUnknown, match="the store has not answered before the deadline"):
                await client.create(create("web", "meanwhile", seconds=0.2))
            etcd.server.send(signal.SIGCONT)
            made = await client.create(create("web", "meanwhile"))
        assert made.addresses != first.addresses
    finally:
        etcd.server.send(signal.SIGCONT)
        api.kill()
