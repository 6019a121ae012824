"""The netlink socket on a real kernel: batches of which many are refused, and dumps."""

from __future__ import annotations

import errno
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.netns import Namespaces

from addrcast.adapters.kernel.namespace import create, inside, is_namespace, remove
from addrcast.adapters.kernel.netlink_link import AF_INET, find_link, get_link
from addrcast.adapters.kernel.netlink_route import pack, removal_template
from addrcast.adapters.kernel.netlink_socket import NetlinkSocket, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.net_admin


@pytest.fixture
def namespace() -> Iterator[Path]:
    with Namespaces() as names:
        yield names.add("one")


def test_every_refusal_of_a_large_batch_is_told_in_order(namespace: Path) -> None:
    with inside(namespace), closing(NetlinkSocket()) as netlink:
        template = removal_template(AF_INET)
        absent = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(30_000)]
        requests = template.fill(pack(AF_INET, absent))
        refusals = netlink.send_batch(requests, template.size)
        assert {refusal.errno for refusal in refusals} == {errno.ESRCH}
        # more answers than the socket has room for: none may go missing
        assert b"".join(template.value(each.request, 0) for each in refusals) == pack(AF_INET, absent)


def test_a_device_is_found_or_not_and_its_absence_has_the_kernels_words(namespace: Path) -> None:
    with inside(namespace), closing(NetlinkSocket()) as netlink:
        assert get_link(netlink, "lo").is_up
        assert find_link(netlink, "nobody") is None
        with pytest.raises(Refused, match="No such device"):
            get_link(netlink, "nobody")


def test_a_socket_stays_in_the_namespace_where_it_was_made(namespace: Path) -> None:
    with Namespaces() as names:
        names.add("two")
        names.ip("two", "link add only-here type bridge")
        with inside(names.path("two")):
            netlink = NetlinkSocket()
        with closing(netlink), inside(namespace):
            assert find_link(netlink, "only-here") is not None
            with closing(NetlinkSocket()) as other:
                assert find_link(other, "only-here") is None


def test_a_name_left_by_a_killed_process_is_made_a_namespace(namespace: Path) -> None:
    half = namespace.with_name(namespace.name + "half")
    half.touch()
    assert not is_namespace(half)
    create(half)
    assert is_namespace(half)
    create(half)
    remove(half)
    remove(half)
    assert not half.exists()
