"""Consul's HTTP API as far as the store needs it, and what its failures mean."""

from __future__ import annotations

import asyncio
import ssl
import sys
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import msgspec

from addrcast.adapters.stores.consul_wire import Answer, body_of, decode_answer
from addrcast.core.domain import errors
from addrcast.core.domain.errors import Invalid, OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from addrcast.adapters.stores.consul_wire import Entry

if find_spec("sniffio") is None:
    # httpcore looks for it at every lock of every request, which took longer than the request itself
    sys.modules["sniffio"] = None  # type: ignore[assignment]

REQUESTS_MAX = 32
RETRY_MS = 500
# Source: canRetry in Consul's agent/consul/rpc.go: without a leader no state can have been changed; and rpc in
# agent/pool/pool.go: a client is got before anything is sent to the leader
_NOTHING_HAPPENED = ("No cluster leader", "rpc error getting client")
_DENIALS = ("Permission denied", "ACL not found")
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Denied(errors.Denied):
    """The token may not do that; nothing happened."""

    def __init__(self, what: str) -> None:
        super().__init__("Consul token", what, "its policies do not allow this; grant it, or use another token")


class Tls(msgspec.Struct, frozen=True):
    """Files in PEM: who may have signed the server's certificate, and the client's own certificate and key."""

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def context(self) -> ssl.SSLContext:
        """Raises Invalid for files that cannot be read."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file or None)
        except OSError as error:
            raise Invalid("tls", self, f"the files must be readable and in PEM: {error}") from None
        return context


class Response(msgspec.Struct, frozen=True):
    """Status, body and the index of what was asked for (0: none)."""

    status: int
    body: bytes
    index: int

    @property
    def text(self) -> str:
        """The beginning of the body, for messages."""
        return self.body.decode(errors="replace").strip()[:300]


class ConsulHttp:
    """One Consul agent's HTTP API: at most 32 requests at a time, blocking queries beside them."""

    def __init__(self, address: str, *, token: str, tls: Tls | None, deadline_ms: int) -> None:
        self.address = address if "://" in address else f"{'https' if tls else 'http'}://{address}"
        self._deadline_s = deadline_ms / 1000
        self._turns = asyncio.Semaphore(REQUESTS_MAX)
        try:
            base_url = httpx.URL(self.address)
        except httpx.InvalidURL as error:
            raise Invalid("address", address, f"host:port or a URL is expected: {error}") from None
        self._client = httpx.AsyncClient(
            base_url=base_url,
            # a body compressed costs more on a local link than it saves
            headers={"Accept-Encoding": "identity"} | ({"X-Consul-Token": token} if token else {}),
            verify=tls.context() if tls else True,
            timeout=None,  # noqa: S113 - each request has a deadline as a whole, see _send
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=REQUESTS_MAX),
            trust_env=False,
        )

    async def read(self, operations: list[bytes]) -> list[Entry]:
        """The entries that a transaction of gets finds, linearizable. Raises Unavailable, Denied."""
        response = await self._ask("PUT", "/v1/txn?consistent", body_of(operations))
        if response.status != HTTPStatus.OK:
            raise self._failure(response, is_write=False)
        return decode_answer(response.body).entries()

    async def write(self, operations: list[bytes]) -> Answer:
        """Carry out a transaction; where the answer has errors, it did nothing.

        Raises: Unavailable, OutcomeUnknown, Denied
        """
        response = await self._ask("PUT", "/v1/txn", body_of(operations), is_write=True)
        if response.status not in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
            raise self._failure(response, is_write=True)
        answer = decode_answer(response.body)
        self._check_denied(answer)
        return answer

    async def probe(self, operations: list[bytes]) -> None:
        """Raise Denied where the token may not read a key that some checks name, whether they hold or not."""
        response = await self._ask("PUT", "/v1/txn", body_of(operations))
        if response.status not in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
            raise self._failure(response, is_write=False)
        self._check_denied(decode_answer(response.body))

    async def wait(self, prefix: str, *, index: int, wait_ms: int) -> int:
        """The index of what lies under a prefix, once it has gone past `index` or the time is over.

        An alarm only: it may come early, or for nothing. At index 0 it comes at once.
        """
        query = f"keys&separator=.&index={index}&wait={wait_ms}ms"
        # Consul adds up to a sixteenth to the time asked for
        limit_s = wait_ms / 1000 * 17 / 16 + self._deadline_s
        response = await self._ask("GET", f"/v1/kv/{quote(prefix)}?{query}", limit_s=limit_s, is_blocking=True)
        if response.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            raise self._failure(response, is_write=False)
        return response.index

    async def get(self, path: str) -> Response:
        """What stands at a path, whatever the status."""
        return await self._ask("GET", path)

    async def put(self, path: str, body: bytes = b"") -> Response:
        """Put to a path that is no transaction; 404 is the caller's to judge. Raises Unavailable, Denied."""
        response = await self._ask("PUT", path, body)
        if response.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            raise self._failure(response, is_write=False)
        return response

    def check(self, response: Response) -> None:
        """Raise what a response that is no success means; it was nothing that writes."""
        if response.status != HTTPStatus.OK:
            raise self._failure(response, is_write=False)

    async def close(self) -> None:
        """Close all connections; requests under way fail."""
        await self._client.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        is_write: bool = False,
        is_blocking: bool = False,
        limit_s: float = 0.0,
    ) -> Response:
        if is_blocking:
            return await self._send(method, path, body, is_write=False, limit_s=limit_s)
        async with self._turns:
            return await self._send(method, path, body, is_write=is_write, limit_s=self._deadline_s)

    async def _send(self, method: str, path: str, body: bytes, *, is_write: bool, limit_s: float) -> Response:
        try:
            async with asyncio.timeout(limit_s):
                response = await self._client.request(method, path, content=body)
        except _NOT_SENT as error:
            raise Unavailable(f"{self.address} cannot be reached: {error}", retry_after_ms=RETRY_MS) from None
        # httpx lets what TLS complains of while reading pass as an OSError
        except (httpx.TransportError, OSError, TimeoutError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not self._client.is_closed:
                raise
            what = f"{self.address} did not answer: {error or type(error).__name__}"
            failure = OutcomeUnknown if is_write else Unavailable
            raise failure(what, retry_after_ms=RETRY_MS) from None
        index = response.headers.get("X-Consul-Index", "0")
        return Response(response.status_code, response.content, int(index))

    def _failure(self, response: Response, *, is_write: bool) -> Exception:
        text = response.text
        if response.status == HTTPStatus.FORBIDDEN or any(denial in text for denial in _DENIALS):
            return Denied(text)
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Invalid("transaction", response.status, text)
        what = f"{self.address} answers {response.status}: {text}"
        if response.status < HTTPStatus.INTERNAL_SERVER_ERROR and response.status != HTTPStatus.TOO_MANY_REQUESTS:
            return Invalid("request", response.status, what)
        is_certain = response.status == HTTPStatus.TOO_MANY_REQUESTS or any(
            each in text for each in _NOTHING_HAPPENED
        )
        if is_write and not is_certain:
            return OutcomeUnknown(what, retry_after_ms=RETRY_MS)
        return Unavailable(what, retry_after_ms=RETRY_MS)

    def _check_denied(self, answer: Answer) -> None:
        for error in answer.errors or ():
            if any(denial in error.what for denial in _DENIALS):
                raise Denied(error.what)
