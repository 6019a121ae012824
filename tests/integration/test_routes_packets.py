"""Real packets through the `routes` tables of two hosts."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from tests.hosts import two_hosts
from tests.packets import Pinger, is_cut_off, reaches

from addrcast.adapters.kernel.attach import Interface
from addrcast.core.dataplane.table import TableEntry, TableKey

if TYPE_CHECKING:
    from tests.netns import Namespaces

    from addrcast.adapters.kernel.routes_settings import Variant

pytestmark = pytest.mark.net_admin
A, B = 101, 102


def echo_requests(names: Namespaces, name: str) -> int:
    """How many IPv4 echo requests have reached a namespace."""
    lines = names.run(name, "cat /proc/net/snmp").splitlines()
    titles, values = (line.split() for line in lines if line.startswith("Icmp:"))
    return int(dict(zip(titles, values, strict=True))["InEchos"])


@pytest.mark.parametrize("variant", ["gpe", "plain"])
async def test_packets_cross_the_substrate_inside_an_account_and_never_between_accounts(variant: Variant) -> None:
    async with two_hosts(variant) as cloud:
        a1 = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1",))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2",))
        await cloud.instance("a3", host=1, vni=A, logicals=("10.0.0.3",))
        b1 = await cloud.instance("b1", host=1, vni=B, logicals=("10.0.0.1",))
        await cloud.instance("b2", host=2, vni=B, logicals=("10.0.0.2",))
        entries = [
            TableEntry(A, "10.0.0.1", "172.31.1.1"),
            TableEntry(A, "10.0.0.2", "172.31.2.2"),
            TableEntry(A, "10.0.0.3", "172.31.1.3"),
            TableEntry(B, "10.0.0.1", "172.31.1.11"),
            TableEntry(B, "10.0.0.2", "172.31.2.12"),
        ]
        for kernel in cloud.kernels.values():
            assert await kernel.upsert(entries) == ()
        assert reaches(a1, "10.0.0.2")
        assert (echo_requests(cloud.names, "a2"), echo_requests(cloud.names, "b2")) == (1, 0)
        assert reaches(b1, "10.0.0.2")
        assert (echo_requests(cloud.names, "a2"), echo_requests(cloud.names, "b2")) == (1, 1)
        assert reaches(a1, "10.0.0.3")  # on the same host
        assert is_cut_off(b1, "10.0.0.3")
        assert echo_requests(cloud.names, "a3") == 1


@pytest.mark.parametrize(("variant", "is_ipv6"), [("gpe", False), ("gpe", True), ("plain", False), ("plain", True)])
async def test_both_families_are_carried_over_both_families(variant: Variant, is_ipv6: bool) -> None:
    async with two_hosts(variant, is_ipv6=is_ipv6) as cloud:
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1", "fd01::1"))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2", "fd01::2"))
        block = "fd00:31:%d::" if is_ipv6 else "172.31.%d."
        for kernel in cloud.kernels.values():
            for host in (1, 2):
                entries = [TableEntry(A, f"10.0.0.{host}", f"{block % host}{host}")]
                entries += [TableEntry(A, f"fd01::{host}", f"{block % host}{host + 16}")]
                assert await kernel.upsert(entries) == ()
        assert reaches(one, "10.0.0.2")
        assert reaches(one, "fd01::2")


async def test_the_largest_packet_passes_and_a_larger_one_is_refused_by_the_instance_itself() -> None:
    async with two_hosts() as cloud:
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1", "fd01::1"))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2", "fd01::2"))
        for kernel in cloud.kernels.values():
            for host in (1, 2):
                await kernel.upsert([TableEntry(A, f"10.0.0.{host}", f"172.31.{host}.1")])
                await kernel.upsert([TableEntry(A, f"fd01::{host}", f"172.31.{host}.2")])
        mtu = cloud.settings[1].instance_mtu
        assert mtu == 1464
        assert reaches(one, "10.0.0.2", payload_bytes=mtu - 28)
        assert reaches(one, "fd01::2", payload_bytes=mtu - 48)
        with Pinger(one, "10.0.0.2") as pinger, pytest.raises(OSError, match="too long") as refused:
            pinger.send(mtu - 27)
        assert refused.value.errno == errno.EMSGSIZE


async def test_a_spoofed_source_is_dropped() -> None:
    async with two_hosts() as cloud:
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1", "fd01::1"))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2", "fd01::2"))
        await cloud.instance("a3", host=1, vni=A, logicals=("10.0.0.3", "fd01::3"))
        for kernel in cloud.kernels.values():
            for last in (1, 2, 3):
                host = 2 if last == 2 else 1
                await kernel.upsert([TableEntry(A, f"10.0.0.{last}", f"172.31.{host}.{last}")])
                await kernel.upsert([TableEntry(A, f"fd01::{last}", f"172.31.{host}.{last + 16}")])
        received = "cat /proc/net/snmp6"

        def echoes6() -> int:
            counts = dict(line.split() for line in cloud.names.run("a2", received).splitlines())
            return int(counts["Icmp6InEchos"])

        for taken, target in (("10.0.0.3", "10.0.0.2"), ("10.0.0.99", "10.0.0.2"), ("fd01::3", "fd01::2")):
            assert reaches(one, target)
            before = echo_requests(cloud.names, "a2") + echoes6()
            width = 128 if ":" in taken else 32
            cloud.names.ip("a1", f"addr add {taken}/{width} dev eth0" + (" nodad" if ":" in taken else ""))
            with Pinger(one, target, source=taken) as pinger:
                pinger.send()
                pinger.collect(0.2)
                assert pinger.lost == 1
            assert echo_requests(cloud.names, "a2") + echoes6() == before


async def test_a_replaced_entry_loses_no_packet_of_a_flood() -> None:
    async with two_hosts() as cloud:
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1",))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2",))
        for kernel in cloud.kernels.values():
            await kernel.upsert([TableEntry(A, "10.0.0.1", "172.31.1.1"), TableEntry(A, "10.0.0.2", "172.31.2.1")])
        with Pinger(one, "10.0.0.2") as pinger:
            for turn in range(1, 101):
                moving = cloud.kernels[1].upsert([TableEntry(A, "10.0.0.2", f"172.31.2.{turn % 250 + 1}")])
                for _ in range(50):
                    pinger.send()
                assert await moving == ()
                pinger.collect()
            pinger.collect(5.0)
            assert (pinger.lost, len(pinger.answered)) == (0, 5000)
        # what every move left behind is cleaned up with the next look at the table
        await cloud.kernels[1].dump()
        assert len(cloud.names.ip(cloud.account(1, A), "nexthop").splitlines()) == 2


async def test_a_link_that_went_down_is_healed_by_writing_the_entries_again() -> None:
    async with two_hosts() as cloud:
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1",))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2",))
        entries = [TableEntry(A, "10.0.0.1", "172.31.1.1"), TableEntry(A, "10.0.0.2", "172.31.2.1")]
        for kernel in cloud.kernels.values():
            await kernel.upsert(entries)
        assert reaches(one, "10.0.0.2")
        damages = ("link set tunnel down", "link del tunnel", "nexthop flush", "route del 10.0.0.2 metric 80")
        for damage in damages:
            cloud.names.ip(cloud.account(1, A), damage)
            assert is_cut_off(one, "10.0.0.2")
            assert "10.0.0.2" not in (await cloud.kernels[1].dump())[A]
            assert await cloud.kernels[1].upsert(entries) == ()
            assert reaches(one, "10.0.0.2")


async def test_an_instance_that_is_detached_is_reached_no_more_and_its_record_shows_through() -> None:
    async with two_hosts() as cloud:
        one = await cloud.instance("a1", host=1, vni=A, logicals=("10.0.0.1",))
        three = await cloud.instance("a3", host=1, vni=A, logicals=("10.0.0.3", "fd01::3"))
        await cloud.instance("a2", host=2, vni=A, logicals=("10.0.0.2",))
        for kernel in cloud.kernels.values():
            await kernel.upsert([TableEntry(A, f"10.0.0.{last}", f"172.31.1.{last}") for last in (1, 3)])
        assert reaches(one, "10.0.0.3")
        await cloud.kernels[1].attach(A, Interface(("10.0.0.3", "fd01::3"), three))
        assert reaches(one, "10.0.0.3"), "attaching again changes nothing"
        await cloud.kernels[1].detach(A, "10.0.0.3")
        await cloud.kernels[1].detach(A, "10.0.0.3")
        assert "iif i" in cloud.names.ip(cloud.account(1, A), "-6 rule"), "the other instance keeps its guard"
        await cloud.kernels[1].detach(A, "10.0.0.1")
        assert "iif i" not in cloud.names.ip(cloud.account(1, A), "-6 rule")
        routed = cloud.names.ip(cloud.account(1, A), "route get 10.0.0.3")
        assert "tunnel" in routed
        assert await cloud.kernels[1].delete([TableKey(A, "10.0.0.3")]) == ()
