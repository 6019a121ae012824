"""The methods of etcd that the store calls, each with the types of its messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

Q = TypeVar("Q")
A = TypeVar("A", bound="Message")


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, A]):
    """A method by its path; how a request becomes bytes, and bytes an answer."""

    path: str
    encode: Callable[[Q], bytes] | None
    decode: Callable[[bytes], A]


RANGE = Method("/etcdserverpb.KV/Range", wire.RangeRequest.SerializeToString, wire.RangeResponse.FromString)
# transactions are encoded by etcd_encode, part by part
TXN: Method[bytes, wire.TxnResponse] = Method("/etcdserverpb.KV/Txn", None, wire.TxnResponse.FromString)
COMPACT = Method(
    "/etcdserverpb.KV/Compact", wire.CompactionRequest.SerializeToString, wire.CompactionResponse.FromString
)
WATCH = Method("/etcdserverpb.Watch/Watch", wire.WatchRequest.SerializeToString, wire.WatchResponse.FromString)
GRANT = Method(
    "/etcdserverpb.Lease/LeaseGrant", wire.LeaseGrantRequest.SerializeToString, wire.LeaseGrantResponse.FromString
)
REVOKE = Method(
    "/etcdserverpb.Lease/LeaseRevoke",
    wire.LeaseRevokeRequest.SerializeToString,
    wire.LeaseRevokeResponse.FromString,
)
KEEP_ALIVE = Method(
    "/etcdserverpb.Lease/LeaseKeepAlive",
    wire.LeaseKeepAliveRequest.SerializeToString,
    wire.LeaseKeepAliveResponse.FromString,
)
TIME_TO_LIVE = Method(
    "/etcdserverpb.Lease/LeaseTimeToLive",
    wire.LeaseTimeToLiveRequest.SerializeToString,
    wire.LeaseTimeToLiveResponse.FromString,
)
AUTHENTICATE = Method(
    "/etcdserverpb.Auth/Authenticate",
    wire.AuthenticateRequest.SerializeToString,
    wire.AuthenticateResponse.FromString,
)
STATUS = Method(
    "/etcdserverpb.Maintenance/Status", wire.StatusRequest.SerializeToString, wire.StatusResponse.FromString
)
