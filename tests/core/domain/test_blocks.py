"""Blocks: every physical address is routed to at most one host."""

from __future__ import annotations

import pytest

from addrcast.core.domain.address import parse_address
from addrcast.core.domain.blocks import BlockIndex
from addrcast.core.domain.record import Host, HostState


def index_of(**blocks: tuple[str, ...]) -> BlockIndex:
    return BlockIndex(
        {name: Host(state=HostState.UP, incarnation=1, blocks=texts) for name, texts in blocks.items()}
    )


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("100.64.0.0", "h1"),
        ("100.64.0.3", "h1"),
        ("100.64.0.4", "h2"),
        ("100.64.0.8", None),
        ("100.64.1.7", "h1"),
        ("1.0.0.0", None),
        ("fd00::3", "h2"),
        ("fd00::4", None),
    ],
)
def test_an_address_is_routed_to_the_host_of_its_block(text: str, owner: str | None) -> None:
    index = index_of(h1=("100.64.1.0/24", "100.64.0.0/30"), h2=("100.64.0.4/30", "fd00::/126"))
    assert index.owner(parse_address(text)) == owner
    assert list(index.overlaps()) == []


def test_blocks_that_share_addresses_are_found() -> None:
    index = index_of(h1=("100.64.0.0/24",), h2=("100.64.0.128/25", "100.65.0.0/24"))
    assert [(str(one.prefix), one.host, str(two.prefix), two.host) for one, two in index.overlaps()] == [
        ("100.64.0.0/24", "h1", "100.64.0.128/25", "h2")
    ]
