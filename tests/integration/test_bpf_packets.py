"""Real packets through the `bpf` tables of two hosts."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from tests import bpf
from tests.bpf import join_hosts, two_bpf_hosts
from tests.netns import Namespaces
from tests.packets import Pinger, is_cut_off, reaches

from addrcast.adapters.kernel.attach import Interface
from addrcast.adapters.kernel.bpf_settings import BpfSettings
from addrcast.adapters.kernel.routes import RoutesKernel
from addrcast.adapters.kernel.routes_settings import RoutesSettings
from addrcast.core.dataplane.table import TableEntry, TableKey

if TYPE_CHECKING:
    from tests.bpf import BpfCloud

# ruff: noqa: ASYNC110, ASYNC220, ASYNC221 - nothing else happens meanwhile
pytestmark = [pytest.mark.net_admin, pytest.mark.skipif(bool(bpf.lacks()), reason=bpf.lacks())]
A, B = 101, 102

# prints the time to live of what came in by the cable from 172.31.1.6's VXLAN neighbour: behind 42 + 8 bytes
COUNT_TUNNELLED = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind(("cable", 0))
print("up", flush=True)
while True:
    packet, about = s.recvfrom(2000)
    if about[2] != socket.PACKET_OUTGOING and packet[30:34] == bytes([172, 31, 1, 6]):
        print(packet[50 + 8], flush=True)
        break
"""


def echo_requests(names: Namespaces, name: str) -> int:
    """How many echo requests of either family have reached a namespace."""
    lines = names.run(name, "cat /proc/net/snmp").splitlines()
    titles, values = (line.split() for line in lines if line.startswith("Icmp:"))
    counts = dict(line.split() for line in names.run(name, "cat /proc/net/snmp6").splitlines())
    return int(dict(zip(titles, values, strict=True))["InEchos"]) + int(counts["Icmp6InEchos"])


async def pair(cloud: BpfCloud, vni: int = A) -> None:
    """Instances with .1 on host 1 and .2 on host 2, of both families, and their records on both hosts."""
    await cloud.instance(f"one{vni}", host=1, vni=vni, logicals=("10.0.0.1", "fd01::1"))
    await cloud.instance(f"two{vni}", host=2, vni=vni, logicals=("10.0.0.2", "fd01::2"))
    for kernel in cloud.kernels.values():
        for host in (1, 2):
            entries = [TableEntry(vni, f"10.0.0.{host}", f"172.31.{host}.{vni}")]
            entries += [TableEntry(vni, f"fd01::{host}", f"172.31.{host}.{vni + 100}")]
            assert await kernel.upsert(entries) == ()


async def test_packets_cross_the_substrate_inside_an_account_and_never_between_accounts() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud, A)
        await pair(cloud, B)
        three = await cloud.instance("three", host=1, vni=A, logicals=("10.0.0.3",))
        await cloud.kernels[2].upsert([TableEntry(A, "10.0.0.3", "172.31.1.3")])
        one_a, one_b = cloud.names.path(f"one{A}"), cloud.names.path(f"one{B}")
        assert reaches(one_a, "10.0.0.2")
        assert (echo_requests(cloud.names, f"two{A}"), echo_requests(cloud.names, f"two{B}")) == (1, 0)
        assert reaches(one_b, "10.0.0.2")
        assert (echo_requests(cloud.names, f"two{A}"), echo_requests(cloud.names, f"two{B}")) == (1, 1)
        assert reaches(one_a, "10.0.0.3"), "on the same host, and without a record there"
        assert reaches(three, "10.0.0.2")
        assert is_cut_off(one_b, "10.0.0.3")
        assert echo_requests(cloud.names, "three") == 1


@pytest.mark.parametrize("is_ipv6", [False, True])
async def test_both_families_are_carried_over_both_families(is_ipv6: bool) -> None:
    async with two_bpf_hosts(is_ipv6=is_ipv6) as cloud:
        await pair(cloud)
        if is_ipv6:
            for kernel in cloud.kernels.values():
                for host in (1, 2):
                    await kernel.upsert([TableEntry(A, f"10.0.0.{host}", f"fd00:31:{host}::{host}")])
                    await kernel.upsert([TableEntry(A, f"fd01::{host}", f"fd00:31:{host}::1{host}")])
        assert reaches(cloud.names.path(f"one{A}"), "10.0.0.2")
        assert reaches(cloud.names.path(f"one{A}"), "fd01::2")


async def test_the_largest_packet_passes_and_a_larger_one_is_refused_by_the_instance_itself() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        one, mtu = cloud.names.path(f"one{A}"), cloud.settings[1].instance_mtu
        assert mtu == 1464
        assert reaches(one, "10.0.0.2", payload_bytes=mtu - 28)
        assert reaches(one, "fd01::2", payload_bytes=mtu - 48)
        with Pinger(one, "10.0.0.2") as pinger, pytest.raises(OSError, match="too long") as refused:
            pinger.send(mtu - 27)
        assert refused.value.errno == errno.EMSGSIZE


async def test_large_segments_of_a_stream_arrive_whole() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        text = "import socket,hashlib,sys\n"
        server = (
            text
            + "s=socket.create_server(('10.0.0.2',7));print('up',flush=True);c=s.accept()[0];h=hashlib.sha256()\n"
        )
        server += "while d:=c.recv(65536):h.update(d)\nprint(h.hexdigest())"
        client = (
            text + "c=socket.create_connection(('10.0.0.2',7));d=bytes(range(256))*65536;c.sendall(d);c.close()\n"
        )
        client += "print(hashlib.sha256(d).hexdigest())"
        within = [
            ["nsenter", f"--net={cloud.names.path(name)}", sys.executable, "-c"] for name in ("two101", "one101")
        ]
        with subprocess.Popen([*within[0], server], stdout=subprocess.PIPE, text=True) as listening:
            assert listening.stdout is not None
            assert listening.stdout.readline() == "up\n"
            sent = subprocess.run(
                [*within[1], client], capture_output=True, text=True, check=True, timeout=60
            ).stdout
            assert listening.stdout.read() == sent


async def test_a_spoofed_source_is_dropped_and_counted() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        await cloud.instance("three", host=1, vni=A, logicals=("10.0.0.3", "fd01::3"))
        await cloud.kernels[2].upsert(
            [TableEntry(A, "10.0.0.3", "172.31.1.3"), TableEntry(A, "fd01::3", "172.31.1.4")]
        )
        one = cloud.names.path(f"one{A}")
        for taken, target in (("10.0.0.3", "10.0.0.2"), ("10.0.0.99", "10.0.0.2"), ("fd01::3", "fd01::2")):
            assert reaches(one, target)
            before = echo_requests(cloud.names, f"two{A}"), (await cloud.kernels[1].drops())["spoofed"]
            width = 128 if ":" in taken else 32
            cloud.names.ip(f"one{A}", f"addr add {taken}/{width} dev eth0" + (" nodad" if ":" in taken else ""))
            with Pinger(one, target, source=taken) as pinger:
                pinger.send()
                pinger.collect(0.2)
                assert pinger.lost == 1
            assert echo_requests(cloud.names, f"two{A}") == before[0]
            assert (await cloud.kernels[1].drops())["spoofed"] > before[1]


async def test_a_host_takes_a_packet_only_for_an_instance_of_the_account_that_it_names() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud, A)
        await cloud.instance("b1", host=1, vni=B, logicals=("10.0.0.7",))
        # account B is told that its .2 and .9 are where account A's .2 is
        for last in (2, 9):
            await cloud.kernels[1].upsert([TableEntry(B, f"10.0.0.{last}", f"172.31.2.{A}")])
        for last in (2, 9):
            assert is_cut_off(cloud.names.path("b1"), f"10.0.0.{last}")
        assert echo_requests(cloud.names, f"two{A}") == 0
        assert (await cloud.kernels[2].drops())["not here"] == 2


async def test_neighbours_are_answered_for_and_not_an_address_of_ones_own() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        name = f"one{A}"
        cloud.names.ip(name, "addr add 10.0.0.1/16 dev eth0")  # now it asks, as if all were on its link
        cloud.names.ip(name, "route replace 10.0.0.0/16 dev eth0 src 10.0.0.1")
        cloud.names.ip(name, "route replace fd01::/64 dev eth0 src fd01::1")
        assert reaches(cloud.names.path(name), "10.0.0.2")
        assert reaches(cloud.names.path(name), "fd01::2")
        assert "0a:58:0a:00:00:02" in cloud.names.ip(name, "neigh show 10.0.0.2")
        assert "0a:58:00:00:00:02" in cloud.names.ip(name, "neigh show fd01::2")
        assert is_cut_off(cloud.names.path(name), "10.0.0.77")
        assert "0a:58" not in cloud.names.ip(name, "neigh show 10.0.0.77")
        cloud.names.ip(name, "neigh del 169.254.1.1 dev eth0")
        cloud.names.ip(name, "neigh del fe80::1 dev eth0")
        cloud.names.ip(name, "route replace default via 169.254.1.1 dev eth0 onlink")
        cloud.names.ip(name, "route del 10.0.0.0/16 dev eth0")
        assert reaches(cloud.names.path(name), "10.0.0.2")
        assert "0a:58:ff:ff:ff:ff" in cloud.names.ip(name, "neigh show 169.254.1.1")
        # it looks whether its address is taken: nobody says so
        cloud.names.run(name, "sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=1")
        cloud.names.ip(name, "addr del fd01::1/128 dev eth0")
        cloud.names.ip(name, "addr add fd01::1/128 dev eth0")
        async with asyncio.timeout(10):
            while "tentative" in (shown := cloud.names.ip(name, "-6 addr show dev eth0")):
                await asyncio.sleep(0.05)
        assert "fd01::1/128" in shown
        assert "dadfailed" not in shown


async def test_a_replaced_entry_loses_no_packet_of_a_flood() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        with Pinger(cloud.names.path(f"one{A}"), "10.0.0.2") as pinger:
            for turn in range(1, 101):
                moving = cloud.kernels[1].upsert([TableEntry(A, "10.0.0.2", f"172.31.2.{turn % 250 + 1}")])
                for _ in range(50):
                    pinger.send()
                assert await moving == ()
                pinger.collect()
            pinger.collect(5.0)
            assert (pinger.lost, len(pinger.answered)) == (0, 5000)


async def test_a_late_packet_follows_an_instance_that_has_moved() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        one = cloud.names.path(f"one{A}")
        with Pinger(one, "10.0.0.6") as pinger:
            # host 1 thinks that it is on host 2, which knows that it is on host 1 by now
            await cloud.kernels[1].upsert([TableEntry(A, "10.0.0.6", "172.31.2.6")])
            await cloud.kernels[2].upsert([TableEntry(A, "10.0.0.6", "172.31.1.6")])
            await cloud.instance("six", host=2, vni=A, logicals=("10.0.0.6",))
            pinger.send()
            pinger.collect(5.0)
            assert not pinger.lost, "as long as it is there it gets what comes, whatever the record says"
        await cloud.kernels[2].detach(A, "10.0.0.6")
        capture = ["nsenter", f"--net={cloud.names.path('host1')}", sys.executable, "-c", COUNT_TUNNELLED]
        with subprocess.Popen(capture, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as counting:
            assert counting.stdout is not None
            assert counting.stdout.readline() == "up\n"
            with Pinger(one, "10.0.0.6") as pinger:
                pinger.send()
                assert counting.stdout.readline() == "63\n", "it comes back, one router older"
            counting.kill()


async def test_a_record_whose_instance_is_not_there_yet_makes_no_packet_go_round() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        for kernel in cloud.kernels.values():
            await kernel.upsert([TableEntry(A, "10.0.0.9", "172.31.2.9")])
        assert is_cut_off(cloud.names.path(f"one{A}"), "10.0.0.9")
        assert is_cut_off(cloud.names.path(f"two{A}"), "10.0.0.9")
        assert (await cloud.kernels[2].drops())["not here"] == 2
        # hosts that each take the other for the right one: it ends with the packet's time to live
        await cloud.kernels[2].upsert([TableEntry(A, "10.0.0.9", "172.31.1.9")])
        await cloud.kernels[1].upsert([TableEntry(A, "10.0.0.9", "172.31.2.9")])
        assert is_cut_off(cloud.names.path(f"one{A}"), "10.0.0.9")
        drops = [(await cloud.kernels[host].drops())["not here"] for host in (1, 2)]
        assert sum(drops) == 3


async def test_what_others_take_away_is_mended_and_told() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        one = cloud.names.path(f"one{A}")
        disturbances = cloud.kernels[1].disturbances()
        pins = cloud.settings[1].pins
        damages = (
            ("link set addrcast down", "was down"),
            ("link del addrcast", "was not there"),
        )
        for damage, reason in damages:
            cloud.names.ip("host1", damage)
            async with asyncio.timeout(10):
                while reason not in await anext(disturbances):
                    pass
            await cloud.kernels[1].dump()
            assert reaches(one, "10.0.0.2")
        shutil.rmtree(pins)  # with the links the programs are off the interfaces
        async with asyncio.timeout(10):
            while "lost its name" not in await anext(disturbances):
                pass
        await cloud.kernels[1].dump()
        assert reaches(one, "10.0.0.2")
        assert {each.name for each in (pins / "maps").iterdir()} >= {"entries", "accounts", "instances"}
        await disturbances.aclose()


async def test_without_its_program_an_interface_leads_nowhere() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        cloud.names.run("host1", "sysctl -qw net.ipv4.ip_forward=1")
        await cloud.kernels[1].attach(A, Interface(("10.0.0.1", "fd01::1"), cloud.names.path(f"one{A}")))
        shutil.rmtree(cloud.settings[1].pins / "links")
        (cloud.settings[1].pins / "links").mkdir()
        assert is_cut_off(cloud.names.path(f"one{A}"), "192.168.7.2")


async def test_an_instance_that_is_detached_is_reached_no_more_and_its_record_shows_through() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        three = await cloud.instance("three", host=1, vni=A, logicals=("10.0.0.3", "fd01::3"))
        one = cloud.names.path(f"one{A}")
        assert reaches(one, "10.0.0.3")
        await cloud.kernels[1].attach(A, Interface(("10.0.0.3", "fd01::3"), three))
        assert reaches(one, "10.0.0.3"), "attaching again changes nothing"
        await cloud.kernels[1].detach(A, "10.0.0.3")
        await cloud.kernels[1].detach(A, "10.0.0.3")
        assert len(list((cloud.settings[1].pins / "links").iterdir())) == 2
        assert is_cut_off(one, "10.0.0.3")
        await cloud.instance("there", host=2, vni=A, logicals=("10.0.0.3",))
        await cloud.kernels[1].upsert([TableEntry(A, "10.0.0.3", "172.31.2.3")])
        assert reaches(one, "10.0.0.3")
        assert await cloud.kernels[1].delete([TableKey(A, "10.0.0.3")]) == ()
        assert is_cut_off(one, "10.0.0.3")


async def test_an_interface_that_went_with_its_instance_is_forgotten() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        await cloud.instance("three", host=1, vni=A, logicals=("10.0.0.3",))
        cloud.names.ip("three", "link del eth0")
        await cloud.instance("there", host=2, vni=A, logicals=("10.0.0.3",))
        await cloud.kernels[1].upsert([TableEntry(A, "10.0.0.3", "172.31.2.3")])
        await cloud.kernels[1].dump()
        assert reaches(cloud.names.path(f"one{A}"), "10.0.0.3")


async def test_an_account_that_is_removed_takes_its_interfaces_along() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud, A)
        await pair(cloud, B)
        await cloud.kernels[1].remove_account(A)
        assert "eth0" not in cloud.names.ip(f"one{A}", "link")
        assert reaches(cloud.names.path(f"one{B}"), "10.0.0.2")


async def test_a_killed_process_leaves_everything_at_work_and_the_next_one_finds_it() -> None:
    async with two_bpf_hosts() as cloud:
        await pair(cloud)
        await cloud.kernels.pop(1).close()
        settings, one = cloud.settings[1], cloud.names.path(f"one{A}")
        program = textwrap.dedent(f"""
            import asyncio
            from pathlib import Path
            from addrcast.adapters.kernel.bpf import BpfKernel
            from addrcast.adapters.kernel.bpf_settings import BpfSettings
            from addrcast.core.dataplane.table import TableEntry

            async def main():
                kernel = await BpfKernel.open(BpfSettings(
                    prefix={settings.prefix!r}, substrate=Path({str(settings.substrate)!r}), entries_max=4096))
                turn = 0
                while True:
                    turn += 1
                    await kernel.upsert([TableEntry({A}, "10.0.0.2", f"172.31.2.{{turn % 250 + 1}}")])
                    print("written", flush=True)

            asyncio.run(main())
        """)
        with Pinger(one, "10.0.0.2") as pinger:
            with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as agent:
                assert agent.stdout is not None
                while agent.stdout.readline() and len(pinger.answered) < 500:
                    for _ in range(20):
                        pinger.send()
                    pinger.collect()
                os.kill(agent.pid, signal.SIGKILL)
            for _ in range(500):
                pinger.send()
                pinger.collect()
            pinger.collect(5.0)
            assert not pinger.lost
            # a larger table: the entries move to it, the links to programs that look there
            async with bpf.opened(
                BpfSettings(settings.prefix, substrate=settings.substrate, entries_max=8192)
            ) as next_one:
                table = await next_one.dump()
                assert table[A].keys() == {"10.0.0.1", "10.0.0.2", "fd01::1", "fd01::2"}
                assert (
                    await next_one.upsert(
                        [TableEntry(A, f"10.1.{i >> 8}.{i & 255}", "172.31.2.1") for i in range(8188)]
                    )
                    == ()
                )
                full = await next_one.upsert([TableEntry(A, "10.2.0.1", "172.31.2.1")])
                assert [each.key for each in full] == [TableKey(A, "10.2.0.1")]
                assert "the table is full; the setting entries_max allows 8192" in full[0].reason
                assert await next_one.upsert([TableEntry(A, "10.0.0.2", "172.31.2.9")]) == (), (
                    "what is there can move"
                )
                for _ in range(100):
                    pinger.send()
                pinger.collect(5.0)
                assert not pinger.lost


async def test_hosts_with_routes_and_hosts_with_bpf_understand_each_other() -> None:
    with Namespaces() as names:
        join_hosts(names)
        settings = BpfSettings(prefix=f"{names.prefix}1", substrate=names.path("host1"), entries_max=64)
        routes = await RoutesKernel.open(RoutesSettings(prefix=f"{names.prefix}2-", substrate=names.path("host2")))
        try:
            async with bpf.opened(settings) as programs:
                one, two = names.add("one"), names.add("two")
                for kernel, namespace, host in ((programs, one, 1), (routes, two, 2)):
                    await kernel.ensure_account(A)
                    await kernel.attach(A, Interface((f"10.0.0.{host}", f"fd01::{host}"), namespace))
                    for at in (1, 2):
                        await kernel.upsert([TableEntry(A, f"10.0.0.{at}", f"172.31.{at}.1")])
                        await kernel.upsert([TableEntry(A, f"fd01::{at}", f"172.31.{at}.2")])
                assert reaches(one, "10.0.0.2")
                assert reaches(two, "10.0.0.1")
                assert reaches(one, "fd01::2")
        finally:
            await routes.close()
            shutil.rmtree(settings.pins, ignore_errors=True)
