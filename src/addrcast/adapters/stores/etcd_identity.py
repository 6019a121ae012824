"""Who a member of etcd is, found out as a user without the role `root`, whom etcd does not tell its status."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

import msgspec

from addrcast.adapters.stores.etcd_calls import Method
from addrcast.adapters.stores.etcd_wire import etcd_auth_pb2 as auth_wire
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire

if TYPE_CHECKING:
    from addrcast.adapters.stores.etcd_login import Metadata
    from addrcast.adapters.stores.etcd_member import Member, Tls

log = logging.getLogger(__name__)

_MEMBERS = Method(
    "/etcdserverpb.Cluster/MemberList",
    auth_wire.MemberListRequest.SerializeToString,
    auth_wire.MemberListResponse.FromString,
)
_ANSWER_BYTES_MAX = 65_536


class _Version(msgspec.Struct):
    etcdserver: str


_VERSION = msgspec.json.Decoder(_Version)


async def identified(
    member: Member, *, tls: Tls | None, metadata: Metadata, timeout_s: float
) -> wire.StatusResponse:
    """What can be known of a member: its cluster, that it serves, and its version, empty where nothing tells it.

    From 3.5.28 on etcd told its status to `root` alone, later again to all users. Raises AioRpcError.

    Source: etcd's issue 21663; `/version` in the documentation of its HTTP handlers.
    """
    request = auth_wire.MemberListRequest(linearizable=True)
    answer = await member.unary(_MEMBERS)(request, timeout=timeout_s, metadata=metadata)
    version = ""
    try:
        async with asyncio.timeout(timeout_s):
            version = await _version(member.endpoint, tls)
    except (OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
        log.warning("etcd at %s does not tell its version, transactions are not nested: %s", member.endpoint, error)
    header = wire.ResponseHeader(cluster_id=answer.header.cluster_id, member_id=answer.header.member_id)
    return wire.StatusResponse(header=header, version=version, leader=1)


async def _version(endpoint: str, tls: Tls | None) -> str:
    """What a member tells everybody over HTTP."""
    host, _, port = endpoint.rpartition(":")
    context = None
    if tls is not None:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    try:
        writer.write(f"GET /version HTTP/1.0\r\nHost: {endpoint}\r\n\r\n".encode())
        answer = await reader.read(_ANSWER_BYTES_MAX)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise ValueError(f"it answers {head[:80]!r}")
    return _VERSION.decode(body).etcdserver
