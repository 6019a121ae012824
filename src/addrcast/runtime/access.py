"""Keeps the roles of a store as they should be: the services', and one for each host by its subscriptions."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Protocol

from addrcast.core.domain.access import account_rights, agent_rights, api_rights, controller_rights, operator_rights
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.keyspace import HOSTS, SUBSCRIPTIONS, parts_of
from addrcast.ports.store import Compacted
from addrcast.runtime.view import scan_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from addrcast.core.domain.access import Mode, Rights, Where
    from addrcast.ports.store import Store

log = logging.getLogger(__name__)

NAME = "addrcast"
AUDIT_S = 60.0
_WATCHED = (HOSTS, SUBSCRIPTIONS)


class Authority(Protocol):
    """The roles and users of a cluster, such as `adapters.stores.etcd_auth.EtcdAuth`."""

    async def roles(self) -> set[str]:
        """The names of all roles of the cluster."""
        ...

    async def rights(self, role: str) -> Rights | None:
        """What a role may do with keys of the store, None where there is no such role."""
        ...

    async def add_role(self, role: str) -> None:
        """Make a role that may do nothing; nothing where it is there."""
        ...

    async def remove_role(self, role: str) -> None:
        """Remove a role, from its users too; nothing where it is not there."""
        ...

    async def grant(self, role: str, where: Where, mode: Mode) -> None:
        """Let a role do this there, in place of what it might do before."""
        ...

    async def revoke(self, role: str, where: Where) -> None:
        """Let a role do nothing there that was granted for exactly this place."""
        ...

    async def users(self) -> set[str]:
        """The names of all users of the cluster."""
        ...

    async def add_user(self, name: str, roles: Sequence[str], *, password: str = "") -> None:
        """Make a user with some roles; without a password it is known by a certificate's common name only."""
        ...


class AccessKeeper:
    """Makes the roles what they should be, by value: what is right is not touched, so that it may run at any time.

    `name` begins the names of all roles. Where `with_users`, every host gets a user of its name and without a
    password, for certificates with that common name.
    """

    def __init__(self, store: Store, authority: Authority, *, name: str = NAME, with_users: bool = False) -> None:
        self._store = store
        self._authority = authority
        self._name = name
        self._with_users = with_users
        self._accounts: dict[str, set[str]] = {}
        self._users: set[str] = set()

    def host_role(self, host: str) -> str:
        """The role of a host's agent."""
        return f"{self._name}-agent-{host}"

    async def set_up(self) -> list[str]:
        """Make the roles of the services; answers with what was changed. Raises Denied, Unavailable."""
        rights = {"api": api_rights(), "controller": controller_rights(), "operator": operator_rights()}
        changed: list[str] = []
        for role, wanted in rights.items():
            changed += await self._settle(f"{self._name}-{role}", wanted)
        return changed

    async def keep(self) -> tuple[int, list[str]]:
        """Make the roles of all hosts right, once; answers with the revision gone by and what was changed.

        A role of a host that is not declared any more goes. Raises Denied, Unavailable.
        """
        revision = await self._look()
        changed: list[str] = []
        for host, accounts in sorted(self._accounts.items()):
            changed += await self._settle(self.host_role(host), agent_rights(host, accounts))
        if self._with_users:
            changed += await self._add_users()
        own = {self.host_role(host) for host in self._accounts}
        for role in sorted(await self._authority.roles() - own):
            if role.startswith(self.host_role("")):
                await self._authority.remove_role(role)
                changed.append(f"{role}: removed")
        return revision, changed

    async def follow(self) -> None:
        """Keep the roles right until cancelled: at once where a subscription changes, and all of them now and then.

        Raises Denied.
        """
        while True:
            try:
                revision, changed = await self.keep()
                for line in changed:
                    log.info("access: %s", line)
                with suppress(TimeoutError, Compacted):
                    async with asyncio.timeout(AUDIT_S):
                        await self._watch(revision)
            except Unavailable as away:
                log.warning("roles stay as they are: %s", away)
                await asyncio.sleep(away.retry_after_ms / 1_000)

    async def _look(self) -> int:
        while True:
            with suppress(Compacted):
                revision, items = await scan_all(self._store, _WATCHED)
                break
        self._accounts = {parts_of(item.key).first: set() for item in items if item.key.startswith(HOSTS)}
        for item in items:
            kind, host, account = parts_of(item.key)
            if kind == SUBSCRIPTIONS and host in self._accounts:
                self._accounts[host].add(account)
        return revision

    async def _watch(self, revision: int) -> None:
        async with aclosing(self._store.watch(_WATCHED, after_revision=revision)) as changes:
            async for change in changes:
                for event in change.events:
                    kind, host, account = parts_of(event.key)
                    if kind == SUBSCRIPTIONS:
                        await self._subscribed(host, account, is_there=event.value is not None)
                    elif (event.value is not None) != (host in self._accounts):
                        return  # a host came or went: all roles are looked at

    async def _subscribed(self, host: str, account: str, *, is_there: bool) -> None:
        accounts = self._accounts.get(host)
        if accounts is None or (account in accounts) == is_there:
            return
        role = self.host_role(host)
        for where, mode in account_rights(host, account).items():
            if is_there:
                await self._authority.grant(role, where, mode)
            else:
                await self._authority.revoke(role, where)
        (accounts.add if is_there else accounts.discard)(account)
        log.info("access: %s: account %s %s", role, account, "granted" if is_there else "revoked")

    async def _settle(self, role: str, wanted: Rights) -> list[str]:
        """Make one role right; answers with what was changed."""
        changed: list[str] = []
        present = await self._authority.rights(role)
        if present is None:
            await self._authority.add_role(role)
            changed.append(f"{role}: made")
            present = {}
        for where, mode in sorted(wanted.items()):
            if present.get(where) != mode:
                await self._authority.grant(role, where, mode)
                changed.append(f"{role}: {_words(where)} granted to {_mode_words(mode)}")
        for where in sorted(present.keys() - wanted.keys()):
            await self._authority.revoke(role, where)
            changed.append(f"{role}: {_words(where)} revoked")
        return changed

    async def _add_users(self) -> Iterable[str]:
        self._users = self._users or await self._authority.users()
        fresh = sorted(self._accounts.keys() - self._users)
        for host in fresh:
            await self._authority.add_user(host, [self.host_role(host)])
        self._users |= set(fresh)
        return [f"user {host}: made, without a password" for host in fresh]


def _words(where: Where) -> str:
    return f"{where.key}*" if where.is_prefix else where.key


def _mode_words(mode: Mode) -> str:
    return " and ".join(str(each.name).lower() for each in mode)
