"""What a role's process is made of: parts, and the ground that they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from addrcast.ports.clock import Clock
    from addrcast.runtime.local_call import Call, CreatedAnswer, DeletedAnswer, ReadyAnswer
    from addrcast.runtime.role_status import AgentStatus, ApiStatus, ControllerStatus
    from addrcast.runtime.roles.readiness import Readiness
    from addrcast.runtime.roles.watched_store import WatchedStore
    from addrcast.runtime.view import LedgerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the parts of a process share; a process without a view of the whole store has None."""

    store: WatchedStore
    view: LedgerView | None
    clock: Clock
    readiness: Readiness

    @property
    def whole_view(self) -> LedgerView:
        """The view, for parts of processes that have one."""
        assert self.view is not None  # noqa: S101
        return self.view


class Part(Protocol):
    """One of the things that a process does."""

    async def run(self) -> None:
        """Do it until cancelled; what is raised ends the process."""
        ...

    async def drain(self) -> None:
        """Take on nothing new, and give up what another process could take over; `run` is cancelled after that."""
        ...

    async def status(self) -> ApiStatus | ControllerStatus | AgentStatus:
        """How it is."""
        ...

    async def answer(self, call: Call) -> CreatedAnswer | DeletedAnswer | ReadyAnswer | None:
        """The answer to a call; None where this part takes no such calls. Raises AddrcastError."""
        ...
