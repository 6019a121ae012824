"""The login of one user: a token that is kept, and asked for anew when etcd does not know it any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from grpc import aio

from addrcast.adapters.stores.etcd_calls import AUTHENTICATE
from addrcast.adapters.stores.etcd_failure import words_of
from addrcast.adapters.stores.etcd_wire import etcd_pb2 as wire
from addrcast.core.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from addrcast.adapters.stores.etcd_member import Member

Metadata = tuple[tuple[str, str], ...]

# a member without a leader refuses at once instead of holding the request, and ends watches
_HAS_LEADER: Metadata = (("hasleader", "true"),)
# the check of a password takes etcd about 0.1 s of processor time
_LOGIN_S = 5.0


class Login:
    """What goes with every request. Without credentials there is nothing to renew."""

    def __init__(self, credentials: tuple[str, str] | None) -> None:
        self._credentials = credentials
        self._renewing = asyncio.Lock()
        self.metadata: Metadata = _HAS_LEADER

    @property
    def is_open(self) -> bool:
        """Whether there is no user to log in."""
        return self._credentials is None

    async def renew(self, member: Member, *, used: Metadata) -> None:
        """Get a token in place of the one in `used`; nothing where another caller has done that meanwhile.

        Raises: Invalid for credentials that etcd does not know, or where it wants some and there are none;
        Unavailable.
        """
        if self._credentials is None:
            raise Invalid(
                "etcd credentials", None, f"{member.endpoint} wants a user and a password, or a certificate"
            )
        async with self._renewing:
            if self.metadata is used:
                self.metadata = await self._authenticate(member, self._credentials)

    async def _authenticate(self, member: Member, credentials: tuple[str, str]) -> Metadata:
        ask = member.unary(AUTHENTICATE)
        user, password = credentials
        request = wire.AuthenticateRequest(name=user, password=password)
        try:
            answer = await ask(request, timeout=_LOGIN_S, metadata=_HAS_LEADER)
        except aio.AioRpcError as error:
            if error.details() == "etcdserver: authentication is not enabled":
                return (*_HAS_LEADER,)  # another object: not the one that was used
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                rule = f"{member.endpoint} does not know this user with this password"
                raise Invalid("etcd credentials", user, rule) from None
            raise Unavailable(f"no login at {member.endpoint}: {words_of(error)}", retry_after_ms=1_000) from None
        return (*_HAS_LEADER, ("token", answer.token))
