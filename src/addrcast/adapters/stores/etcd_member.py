"""One member of an etcd cluster: its channel, how it is secured, and what it says of itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import msgspec
from grpc import aio

from addrcast.adapters.stores.etcd_calls import COMPACT, RANGE, STATUS, TXN, WATCH, Method
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.core.domain.errors import Invalid

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from addrcast.adapters.stores.etcd_login import Metadata

Q = TypeVar("Q")
A = TypeVar("A", bound="Message")

# Pings only while a call is open: etcd answers others with GOAWAY. Its own limit is one ping in five seconds.
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)


class Tls(msgspec.Struct, frozen=True):
    """How connections are secured, by the names of PEM files.

    Servers are checked by the authorities in `ca_file`, or by those of the machine. `cert_file` and `key_file` are
    the client's own and go together.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """What a channel needs. Raises Invalid for a file that cannot be read."""
        if bool(self.cert_file) != bool(self.key_file):
            raise Invalid("tls", self, "certificate and key go together")
        names = ("ca_file", "key_file", "cert_file")
        return grpc.ssl_channel_credentials(*[_content(name, getattr(self, name)) for name in names])


def _content(field: str, name: str) -> bytes | None:
    if not name:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Invalid(field, name, f"the file must be readable: {error.strerror}") from None


class Member:
    """The channel to one endpoint. `left_at` is the monotonic second at which it last failed to serve.

    `status` is what it said of itself when it was last connected, None before. `tells_progress`: whether it has
    ever said how far a watch has come when it was asked; etcd's gRPC proxy never does.
    """

    def __init__(self, endpoint: str, security: grpc.ChannelCredentials | None) -> None:
        self.endpoint = endpoint
        self.left_at = float("-inf")
        self.status: wire.StatusResponse | None = None
        self.tells_progress = False
        if security is None:
            self._channel = aio.insecure_channel(endpoint, _OPTIONS)
        else:
            self._channel = aio.secure_channel(endpoint, security, _OPTIONS)
        self.txn = self.unary(TXN)
        self.range = self.unary(RANGE)
        self.compact = self.unary(COMPACT)
        self.watch = self.stream(WATCH)
        self._status = self.unary(STATUS)

    def unary(self, method: Method[Q, A]) -> aio.UnaryUnaryMultiCallable[Q, A]:
        """A method of one request and one answer on this member."""
        return self._channel.unary_unary(
            method.path, request_serializer=method.encode, response_deserializer=method.decode
        )

    def stream(self, method: Method[Q, A]) -> aio.StreamStreamMultiCallable[Q, A]:
        """A method of two streams on this member."""
        return self._channel.stream_stream(
            method.path, request_serializer=method.encode, response_deserializer=method.decode
        )

    @property
    def is_ready(self) -> bool:
        """Whether it is connected."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def connect(self) -> bool:
        """Connect; false once an attempt has failed."""
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return True
            if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                return False
            await self._channel.wait_for_state_change(state)

    async def ask_status(self, *, timeout_s: float, metadata: Metadata) -> wire.StatusResponse:
        """What it says of itself now, also without a leader. Raises AioRpcError."""
        token = tuple(pair for pair in metadata if pair[0] != "hasleader")
        self.status = await self._status(wire.StatusRequest(), timeout=timeout_s, metadata=token)
        return self.status

    def leave(self) -> None:
        """Note that it did not serve: others are tried first for a while."""
        self.left_at = time.monotonic()

    async def close(self) -> None:
        """Close the channel; calls that run are cancelled."""
        await self._channel.close(None)
        await asyncio.sleep(0)
