"""What each role may read and write in the store: least rights by key and by prefix."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto
from typing import TYPE_CHECKING

from addrcast.core.domain import keyspace

if TYPE_CHECKING:
    from collections.abc import Iterable


class Mode(Flag):
    """What may be done with keys."""

    READ = auto()
    WRITE = auto()
    BOTH = READ | WRITE


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A key, or all keys with a prefix."""

    key: str
    is_prefix: bool = False


Rights = dict[Where, Mode]
"""What a role may do, and where; what is not named is denied."""

EVERYTHING = Where("", is_prefix=True)

_API_WRITES = (
    keyspace.RECORDS,
    keyspace.PHYSICALS,
    keyspace.INSTANCES,
    keyspace.POOL_ADDRESSES,
    # a create subscribes its host, and then takes back what a host that was leaving said
    keyspace.SUBSCRIPTIONS,
    keyspace.ACKNOWLEDGEMENTS,
)
_CONTROLLER_WRITES = (
    *_API_WRITES,
    keyspace.HOSTS,
    keyspace.ACCOUNTS,
    keyspace.POOLS,
    keyspace.REMOVALS,
    keyspace.HOST_REPORTS,
    keyspace.ATTACHMENTS,
    keyspace.EPOCH,
    keyspace.PLANS,
    keyspace.ELECTIONS,
)
_UNDOTTED = frozenset({keyspace.EPOCH, keyspace.DECLARED, keyspace.MOVE})


def api_rights() -> Rights:
    """A replica of the assignment service reads all, and writes what a create or a delete does."""
    return _reading_all(_API_WRITES)


def controller_rights() -> Rights:
    """A controller reads all, and writes what its duties do: no tier, no declaration, no host's sign of life."""
    return _reading_all(_CONTROLLER_WRITES)


def operator_rights() -> Rights:
    """Who declares, checks, backs up, restores and migrates reads and writes all of the store."""
    return {EVERYTHING: Mode.BOTH}


def agent_rights(host: str, accounts: Iterable[str]) -> Rights:
    """The agent of a host: its own keys, and those of the accounts that it is subscribed to.

    It may not write subscriptions in general, or it could subscribe to any account and be granted it.
    """
    rights = {
        Where(keyspace.EPOCH): Mode.READ,
        Where(keyspace.host_key(host)): Mode.BOTH,
        Where(keyspace.host_alive_key(host)): Mode.BOTH,
        Where(keyspace.host_report_key(host)): Mode.BOTH,
        Where(f"{keyspace.SUBSCRIPTIONS}{host}.", is_prefix=True): Mode.READ,
        Where(f"{keyspace.ACKNOWLEDGEMENTS}{host}.", is_prefix=True): Mode.WRITE,
        Where(f"{keyspace.ATTACHMENTS}{host}.", is_prefix=True): Mode.BOTH,
    }
    for account in accounts:
        rights |= account_rights(host, account)
    return rights


def account_rights(host: str, account: str) -> Rights:
    """What an agent may do besides, of one account that it is subscribed to."""
    return {
        Where(keyspace.account_key(account)): Mode.READ,
        Where(keyspace.records_of(account), is_prefix=True): Mode.READ,
        # its end is the agent's to write
        Where(keyspace.subscription_key(host, account)): Mode.WRITE,
    }


def allows(rights: Rights, key: str, mode: Mode) -> bool:
    """Whether a key may be read, or written."""
    found = Mode(0)
    for where, granted in rights.items():
        if key == where.key or (where.is_prefix and key.startswith(where.key)):
            found |= granted
    return mode in found


def _reading_all(writes: Iterable[str]) -> Rights:
    rights = {EVERYTHING: Mode.READ}
    for kind in writes:
        rights[Where(kind, is_prefix=kind not in _UNDOTTED)] = Mode.BOTH
    return rights
