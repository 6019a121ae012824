"""The agent's process is killed, namespaces vanish, other hosts share the machine: the `routes` table stands it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hosts import two_hosts
from tests.netns import Namespaces
from tests.packets import Pinger, reaches

from addrcast.adapters.kernel.namespace import is_namespace, remove
from addrcast.adapters.kernel.routes import RoutesKernel
from addrcast.adapters.kernel.routes_settings import RoutesSettings
from addrcast.core.dataplane.table import TableEntry

pytestmark = pytest.mark.net_admin
A = 101


async def test_a_killed_process_leaves_entries_that_work_and_that_the_next_one_knows() -> None:
    async with two_hosts() as cloud:
        entries = [TableEntry(A, f"10.0.0.{last}", f"172.31.{last}.1") for last in (1, 2)]
        entries += [TableEntry(A, f"10.0.1.{last}", f"172.31.2.{last}") for last in range(2, 200)]
        settings = cloud.settings[1]
        arguments = json.dumps([settings.prefix, str(settings.substrate), entries])
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1",))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2",))
        await cloud.kernels[2].upsert(entries)
        script = Path(__file__).with_name("routes_process.py")
        # the process is not awaited for longer than it takes to write
        with subprocess.Popen([sys.executable, script, arguments], stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            with Pinger(one, "10.0.0.2") as pinger:
                for turn in range(200):
                    pinger.send()
                    if turn == 100:
                        process.kill()
                        process.wait()
                    await asyncio.sleep(0.001)
                pinger.collect(5.0)
                assert pinger.lost == 0
        kernel = await RoutesKernel.open(settings)
        assert await kernel.dump() == {A: {entry.logical: entry.physical for entry in entries}}
        assert await kernel.upsert([TableEntry(A, "10.0.0.2", "172.31.2.9")]) == ()
        assert (await kernel.dump())[A]["10.0.0.2"] == "172.31.2.9"
        assert reaches(one, "10.0.0.2")
        await kernel.close()


async def test_a_namespace_that_lost_its_name_is_told_and_can_be_made_again() -> None:
    with Namespaces() as names:
        settings = RoutesSettings(prefix=names.prefix, substrate=names.add("host"))
        kernel = await RoutesKernel.open(settings)
        await kernel.ensure_account(A)
        await kernel.upsert([TableEntry(A, "10.0.0.1", "172.31.1.1")])
        async with aclosing(kernel.disturbances()) as disturbances:
            heard = asyncio.ensure_future(anext(disturbances))
            await asyncio.sleep(0.05)
            remove(settings.namespace(A))
            async with asyncio.timeout(10):
                assert "lost its name" in await heard
        assert await kernel.dump() == {}
        await kernel.ensure_account(A)
        assert await kernel.dump() == {A: {}}
        await kernel.remove_account(A)
        assert not is_namespace(settings.namespace(A))
        await kernel.close()


@pytest.mark.parametrize("damage", ["nexthop flush", "route del 10.0.0.1 metric 80", "link del tunnel"])
async def test_what_another_does_is_told_and_what_we_do_is_not(damage: str) -> None:
    with Namespaces() as names:
        kernel = await RoutesKernel.open(RoutesSettings(prefix=names.prefix, substrate=names.add("host")))
        await kernel.ensure_account(A)
        async with aclosing(kernel.disturbances()) as disturbances:
            heard = asyncio.ensure_future(anext(disturbances))
            for turn in range(20):
                await kernel.upsert([TableEntry(A, "10.0.0.1", f"172.31.1.{turn + 1}")])
                await kernel.dump()
            await kernel.ensure_account(A + 1)
            await kernel.remove_account(A + 1)
            await asyncio.sleep(0.1)
            assert not heard.done()
            names.ip(f"{A}", damage)
            async with asyncio.timeout(10):
                assert f"VNI {A}" in await heard
        await kernel.close()


async def test_more_accounts_than_may_be_open_are_all_served() -> None:
    with Namespaces() as names:
        settings = RoutesSettings(prefix=names.prefix, substrate=names.add("host"), open_max=3)
        kernel = await RoutesKernel.open(settings)
        table = {vni: {"10.0.0.1": f"172.31.0.{vni - 99}"} for vni in range(100, 110)}
        for vni in table:
            await kernel.ensure_account(vni)
        entries = [TableEntry(vni, *entry) for vni, account in table.items() for entry in account.items()]
        assert await kernel.upsert(entries) == ()
        assert await kernel.dump() == table
        await kernel.close()


async def test_hosts_with_other_prefixes_on_one_machine_do_not_see_each_other() -> None:
    with Namespaces() as names:
        settings = RoutesSettings(prefix=f"{names.prefix}1-", substrate=names.add("host1"))
        one = await RoutesKernel.open(settings)
        other = await RoutesKernel.open(replace(settings, prefix=f"{names.prefix}2-", substrate=names.add("host2")))
        for kernel in (one, other):
            await kernel.ensure_account(A)
        await one.upsert([TableEntry(A, "10.0.0.1", "172.31.1.1")])
        assert await other.dump() == {A: {}}
        await other.remove_account(A)
        assert await one.dump() == {A: {"10.0.0.1": "172.31.1.1"}}
        await one.close()
        await other.close()


async def test_a_nexthop_id_that_somebody_else_has_taken_is_left_alone() -> None:
    with Namespaces() as names:
        kernel = await RoutesKernel.open(RoutesSettings(prefix=names.prefix, substrate=names.add("host")))
        await kernel.ensure_account(A)
        taken = int.from_bytes(bytes([172, 31, 1, 1]), sys.byteorder)
        names.ip(f"{A}", f"nexthop add id {taken} blackhole proto static")
        entries = [TableEntry(A, f"10.0.0.{last}", f"172.31.1.{last}") for last in (1, 2)]
        assert await kernel.upsert(entries) == ()
        assert await kernel.dump() == {A: {"10.0.0.1": "172.31.1.1", "10.0.0.2": "172.31.1.2"}}
        assert "proto static" in names.ip(f"{A}", f"nexthop show id {taken}")
        await kernel.close()
