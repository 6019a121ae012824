"""The role `agent`: one host's translation table kept as the store says."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from addrcast.core.agent.machine import Phase
from addrcast.runtime.agent import AgentService
from addrcast.runtime.role_status import AgentStatus
from addrcast.runtime.settings import agent_settings
from addrcast.simulation.kernel import ModelKernel

if TYPE_CHECKING:
    from addrcast.runtime.local_call import Call
    from addrcast.runtime.roles.part import Site
    from addrcast.runtime.settings import AgentSection

log = logging.getLogger(__name__)

LOOK_S = 0.2


class AgentPart:
    """The agent of one host. Its end leaves the table as it is, and the host's sign of life to its lease."""

    def __init__(self, site: Site, agent: AgentSection) -> None:
        self._readiness = site.readiness
        self._section = agent
        self._service = AgentService(
            agent.host,
            store=site.store,
            kernel=ModelKernel(),
            clock=site.clock,
            settings=agent_settings(agent),
            lease_ms=agent.lease_ms,
        )
        self._tell_phase()

    async def run(self) -> None:
        """See Part."""
        log.warning(
            "kernel=model: the table of host %s is kept in memory, no kernel is programmed", self._section.host
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._service.run())
            while True:  # the machine tells nobody of its phase
                self._tell_phase()
                await asyncio.sleep(LOOK_S)

    async def drain(self) -> None:
        """Nobody waits for an agent."""

    async def status(self) -> AgentStatus:
        """See Part."""
        machine = self._service.machine
        return AgentStatus(
            host=machine.host,
            phase=machine.phase.name.lower(),
            accounts=len(machine.accounts),
            denied=machine.denied,
            kernel=self._section.kernel,
        )

    async def answer(self, call: Call) -> None:  # noqa: ARG002
        """It takes no calls."""
        return

    def _tell_phase(self) -> None:
        phase = self._service.machine.phase
        if phase is Phase.UP:
            self._readiness.go_on("agent")
        else:
            what = self._service.last_report or f"it {phase.value}"
            self._readiness.wait("agent", f"host {self._section.host}: {what}")
