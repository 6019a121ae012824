"""etcd's roles and users: read and changed by a user that has etcd's role `root`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from grpc import aio

from addrcast.adapters.stores.etcd_calls import Method
from addrcast.adapters.stores.etcd_cluster import Cluster
from addrcast.adapters.stores.etcd_failure import failure_of, raised_for, words_of
from addrcast.adapters.stores.etcd_keys import LEAST, end_of
from addrcast.adapters.stores.etcd_wire import etcd_auth_pb2 as wire
from addrcast.core.domain.access import Mode, Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from addrcast.adapters.stores.etcd_member import Tls
    from addrcast.core.domain.access import Rights

A = TypeVar("A", bound="Message")

DEADLINE_MS = 5_000
"""A change of roles is applied by every member, and a user with a password costs each 0.1 s."""

_ROLE_EXISTS, _ROLE_MISSING = "etcdserver: role name already exists", "etcdserver: role name not found"
_NOT_GRANTED = "etcdserver: permission is not granted to the role"
_USER_EXISTS = "etcdserver: user name already exists"
_ALREADY_ON = "etcdserver: authentication is already enabled"
_MODES = {Mode.READ: wire.Permission.READ, Mode.WRITE: wire.Permission.WRITE, Mode.BOTH: wire.Permission.READWRITE}
_MODES_OF = {number: mode for mode, number in _MODES.items()}


def _method(name: str, answer: type[A]) -> Method[Message, A]:
    return Method(f"/etcdserverpb.Auth/{name}", lambda request: request.SerializeToString(), answer.FromString)


class EtcdAuth:
    """Roles and users of a cluster, with the keys of one store; made by `open`.

    What is done already is no error. Raises, besides: Denied for a user without the role `root`, Unavailable.
    """

    def __init__(self, cluster: Cluster, root: bytes) -> None:
        self._cluster = cluster
        self._root = root

    @classmethod
    async def open(
        cls,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        credentials: tuple[str, str] | None = None,
        root: str = "",
        deadline_ms: int = DEADLINE_MS,
    ) -> EtcdAuth:
        """Connect to a cluster as EtcdStore does. Raises Invalid, Unavailable."""
        cluster = await Cluster.open(endpoints, tls=tls, credentials=credentials, deadline_ms=deadline_ms)
        return cls(cluster, root.encode())

    async def close(self) -> None:
        """Close the connections."""
        await self._cluster.close()

    async def roles(self) -> set[str]:
        """The names of all roles of the cluster."""
        answer = await self._ask(_method("RoleList", wire.RoleListResponse), wire.RoleListRequest())
        return set(answer.roles) if answer is not None else set()

    async def rights(self, role: str) -> Rights | None:
        """What a role may do with keys of this store, None where there is no such role.

        Rights to ranges that are neither a key nor a prefix of the store, such as others', are left out.
        """
        request = wire.RoleGetRequest(role=role)
        answer = await self._ask(_method("RoleGet", wire.RoleGetResponse), request, _ROLE_MISSING)
        if answer is None:
            return None
        found = ((self._where(each), _MODES_OF[each.permType]) for each in answer.perm)
        return {where: mode for where, mode in found if where is not None}

    async def add_role(self, role: str) -> None:
        """Make a role that may do nothing."""
        await self._ask(_method("RoleAdd", wire.Done), wire.RoleAddRequest(name=role), _ROLE_EXISTS)

    async def remove_role(self, role: str) -> None:
        """Remove a role, from its users too."""
        await self._ask(_method("RoleDelete", wire.Done), wire.RoleDeleteRequest(role=role), _ROLE_MISSING)

    async def grant(self, role: str, where: Where, mode: Mode) -> None:
        """Let a role do this there, in place of what it might do before."""
        key, end = self._range(where)
        permission = wire.Permission(permType=_MODES[mode], key=key, range_end=end)
        request = wire.RoleGrantPermissionRequest(name=role, perm=permission)
        await self._ask(_method("RoleGrantPermission", wire.Done), request)

    async def revoke(self, role: str, where: Where) -> None:
        """Let a role do nothing there that was granted for exactly this place."""
        key, end = self._range(where)
        request = wire.RoleRevokePermissionRequest(role=role, key=key, range_end=end)
        await self._ask(_method("RoleRevokePermission", wire.Done), request, _NOT_GRANTED, _ROLE_MISSING)

    async def users(self) -> set[str]:
        """The names of all users of the cluster."""
        answer = await self._ask(_method("UserList", wire.UserListResponse), wire.UserListRequest())
        return set(answer.users) if answer is not None else set()

    async def add_user(self, name: str, roles: Sequence[str], *, password: str = "") -> None:
        """Make a user with some roles; without a password it is known by the common name of a certificate only."""
        options = wire.UserAddOptions(no_password=not password)
        request = wire.UserAddRequest(name=name, password=password, options=options)
        await self._ask(_method("UserAdd", wire.Done), request, _USER_EXISTS)
        for role in roles:
            await self._ask(_method("UserGrantRole", wire.Done), wire.UserGrantRoleRequest(user=name, role=role))

    async def enable(self) -> None:
        """Refuse from now on what is not granted; a user `root` with the role `root` must be there."""
        await self._ask(_method("AuthEnable", wire.Done), wire.AuthEnableRequest(), _ALREADY_ON)

    async def _ask(self, method: Method[Message, A], request: Message, *is_done: str) -> A | None:
        """The answer; None where etcd refuses with one of `is_done`. Changes may be asked for twice."""
        try:
            return await self._cluster.call(lambda member: member.unary(method), request)
        except aio.AioRpcError as error:
            if error.details() in is_done:
                return None
            what = f"{method.path.rpartition('/')[2]}: {words_of(error)}"
            raise raised_for(failure_of(error), what) from None

    def _range(self, where: Where) -> tuple[bytes, bytes]:
        key = self._root + where.key.encode()
        return key or LEAST, end_of(key) if where.is_prefix else b""

    def _where(self, permission: wire.Permission) -> Where | None:
        key, end = permission.key, permission.range_end
        if key == LEAST and end == LEAST:
            key = b""
        if not key.startswith(self._root) or end not in (b"", end_of(key)):
            return None
        return Where(key[len(self._root) :].decode(errors="replace"), is_prefix=bool(end))
