"""Netlink messages: what is written is read back, and garbage is refused as such."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addrcast.adapters.kernel.netlink_link import read_link
from addrcast.adapters.kernel.netlink_message import (
    HEADER,
    NLM_F_ACK_TLVS,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    NLMSGERR_ATTR_MSG,
    Malformed,
    Message,
    attribute,
    attributes,
    message,
    messages,
    number,
    refusal,
    text,
)
from addrcast.adapters.kernel.netlink_route import RouteReader, read_device_route, read_nexthop
from addrcast.adapters.kernel.netlink_template import Hole, Template
from addrcast.adapters.kernel.routes_events import change

KINDS = st.integers(1, 0x3FFF)
SHORTS = st.integers(0, 0xFFFF)
BODIES = st.binary(max_size=60)


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 1 << 31), BODIES), max_size=9)
)
def test_messages_that_were_joined_are_read_in_order(sent: list[tuple[int, int, int, bytes]]) -> None:
    datagram = b"".join(message(kind, flags, body, sequence=number) for kind, flags, number, body in sent)
    read = [(each.kind, each.flags, each.sequence, bytes(each.body)) for each in messages(datagram)]
    assert read == [(kind, flags | NLM_F_REQUEST, number, body) for kind, flags, number, body in sent]


@given(st.dictionaries(KINDS, BODIES, max_size=9))
def test_attributes_are_read_as_they_were_written(written: dict[int, bytes]) -> None:
    buffer = b"".join(attribute(kind, value) for kind, value in written.items())
    assert {kind: bytes(value) for kind, value in attributes(buffer).items()} == written


@given(st.binary(max_size=300))
def test_garbage_is_malformed_or_read_in_full(buffer: bytes) -> None:
    for read in (lambda: list(messages(buffer)), lambda: attributes(buffer)):
        try:
            read()
        except Malformed:
            continue


# lengths that are nearly right find more than noise does
NEARLY = st.builds(
    lambda begin, parts, end: begin + b"".join(parts) + end,
    st.binary(min_size=8, max_size=16),
    st.lists(st.builds(attribute, st.sampled_from([1, 3, 5, 8, 14, 16, 18, 22, 30, 0x8008, 0x8016]), BODIES)),
    st.binary(max_size=6),
)


@given(st.sampled_from([16, 17, 24, 25, 104, 105]), st.one_of(NEARLY, st.binary(max_size=100)))
def test_what_readers_cannot_make_sense_of_is_malformed(kind: int, body: bytes) -> None:
    each = Message(kind, 0, 0, 0, memoryview(body))
    whole = HEADER.pack(HEADER.size + len(body), 24, 2, 0, 0) + body
    for read in (
        lambda: read_link(each),
        lambda: read_nexthop(each),
        lambda: read_device_route(each),
        lambda: refusal(each),
        lambda: change(each),
        lambda: RouteReader(2).read(memoryview(whole)),
        lambda: RouteReader(10).read(memoryview(whole)),
    ):
        try:
            read()
        except Malformed:
            continue


def test_a_refusal_has_the_errno_the_words_and_the_request() -> None:
    request = message(24, 0, b"to")
    body = struct.pack("=i", -17) + request + text(NLMSGERR_ATTR_MSG, "File exists, truly")
    refused = refusal(Message(NLMSG_ERROR, NLM_F_ACK_TLVS, 1, 0, memoryview(body)))
    assert refused is not None
    assert (refused.errno, refused.text, refused.request) == (17, "File exists, truly", request[:18])
    assert refusal(Message(NLMSG_ERROR, 0, 1, 0, memoryview(struct.pack("=i", 0) + request))) is None


def test_a_number_of_no_bytes_or_of_nine_is_malformed() -> None:
    for width in (0, 9):
        with pytest.raises(Malformed):
            number(memoryview(bytes(width)))


@given(st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.binary(min_size=2, max_size=2)), min_size=1))
def test_a_template_fills_and_reads_columns(values: list[tuple[bytes, bytes]]) -> None:
    template = Template(b"abcdefghijkl", Hole(1, 4), Hole(7, 2))
    columns = tuple(b"".join(column) for column in zip(*values, strict=True))
    buffer = template.fill(*columns)
    assert buffer == b"".join(b"a%bfg%bjkl" % pair for pair in values)
    assert template.read(buffer) == columns
    buffer[-1] ^= 1
    assert template.read(buffer) is None
    assert template.read(bytes(buffer[:-1])) is None
