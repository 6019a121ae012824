"""What a role's process tells of itself when it is asked."""

from __future__ import annotations

import msgspec


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The store as this process sees it: whether it answers, and since when and why not where it does not."""

    address: str
    is_reached: bool
    what: str = ""
    away_since_ms: int | None = None
    revision: int | None = None
    epoch: int | None = None
    state: str = ""


class ApiStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The assignment service of this process."""

    replica: str
    under_way: int
    answered: int


class ControllerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The controller of this process: which of the shards of accounts it leads, and what its plans rest on."""

    name: str
    leads: tuple[int, ...]
    shards: int
    plans: str


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The agent of this process: how far its host is, for how many accounts, and which it may not read yet."""

    host: str
    phase: str
    accounts: int
    kernel: str
    denied: tuple[str, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A process: its role, whether it is ready, and in words what it waits for."""

    role: str
    version: str
    pid: int
    started_ms: int
    is_ready: bool
    is_stopping: bool
    waits_for: tuple[str, ...]
    store: StoreStatus
    api: ApiStatus | None = None
    controller: ControllerStatus | None = None
    agent: AgentStatus | None = None
