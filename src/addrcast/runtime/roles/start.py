"""Runs a role to its end and tells how it ended; one function for each role."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addrcast.core.domain.errors import AddrcastError
from addrcast.runtime.roles.log_lines import log_to_stderr
from addrcast.runtime.roles.process import RoleProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from addrcast.runtime.roles.part import Part, Site
    from addrcast.runtime.settings import (
        AgentRoleSettings,
        ApiSettings,
        ControllerRoleSettings,
        PlanningSection,
        ServeSettings,
    )
    from addrcast.runtime.settings_sources import Loaded

log = logging.getLogger(__name__)

STOPPED, FAILED, BUG = 0, 1, 70
"""How a process ends: as it was asked to; since it cannot do its work as things are; by an error of the program.

Source of 70: EX_SOFTWARE of sysexits.h.
"""


def run_serve(loaded: Loaded[ServeSettings]) -> int:
    """All in one process; an agent only where a host is named. Returns the exit status."""
    from addrcast.runtime.roles.api import ApiPart  # noqa: PLC0415 - each role loads what it needs
    from addrcast.runtime.roles.controller import ControllerPart  # noqa: PLC0415

    settings = loaded.settings
    _check_history(loaded, settings.planning)

    def parts(site: Site) -> Sequence[Part]:
        made: list[Part] = [
            ApiPart(site, settings.api, settings.limits),
            ControllerPart(site, settings.controller, settings.planning, settings.limits),
        ]
        return [*made, *([_agent(site, settings)] if settings.agent.host else [])]

    return _run("serve", loaded, socket_name="api.sock", make_parts=parts, sets_up=True)


def run_api(loaded: Loaded[ApiSettings]) -> int:
    """The assignment service. Returns the exit status."""
    from addrcast.runtime.roles.api import ApiPart  # noqa: PLC0415

    settings = loaded.settings
    return _run(
        "api",
        loaded,
        socket_name="api.sock",
        make_parts=lambda site: [ApiPart(site, settings.api, settings.limits)],
    )


def run_controller(loaded: Loaded[ControllerRoleSettings]) -> int:
    """The controller. Returns the exit status."""
    from addrcast.runtime.roles.controller import ControllerPart  # noqa: PLC0415

    settings = loaded.settings
    _check_history(loaded, settings.planning)
    return _run(
        "controller",
        loaded,
        socket_name="controller.sock",
        make_parts=lambda site: [ControllerPart(site, settings.controller, settings.planning, settings.limits)],
    )


def run_agent(loaded: Loaded[AgentRoleSettings]) -> int:
    """The agent of a host, which reads no more of the store than concerns it. Returns the exit status."""
    if not loaded.settings.agent.host:
        raise loaded.lack("agent.host")
    settings = loaded.settings
    return _run(
        "agent",
        loaded,
        socket_name="agent.sock",
        make_parts=lambda site: [_agent(site, settings)],
        has_view=False,
    )


def _check_history(loaded: Loaded[Any], planning: PlanningSection) -> None:
    """Refuse a history file that is absent before anything is waited for."""
    if planning.history_file and not Path(planning.history_file).is_file():
        raise loaded.refuse("planning.history_file", planning.history_file, "there is no such file")


def _agent(site: Site, settings: AgentRoleSettings | ServeSettings) -> Part:
    from addrcast.runtime.roles.agent import AgentPart  # noqa: PLC0415

    return AgentPart(site, settings.agent)


def _run(role: str, loaded: Loaded[Any], *, make_parts: Callable[[Site], Sequence[Part]], **how: Any) -> int:
    log_to_stderr(role, loaded.settings.log, secrets=loaded.secrets())

    async def live() -> None:
        await RoleProcess(role, loaded, make_parts=make_parts, **how).run()

    try:
        asyncio.run(live())
    except AddrcastError as fault:
        log.error("cannot start: %s", fault)
    except BaseExceptionGroup as group:
        return _told(group)
    else:
        return STOPPED
    return FAILED


def _told(group: BaseExceptionGroup[BaseException]) -> int:
    """Tell of what ended a process, each failure by itself."""
    expected, bugs = group.split(AddrcastError)
    for fault in _leaves(expected):
        log.error("cannot go on: %s", fault)
    for bug in _leaves(bugs):
        log.critical("an error of this program: %s", bug, exc_info=bug)
    return BUG if bugs is not None else FAILED


def _leaves(group: BaseExceptionGroup[BaseException] | None) -> list[BaseException]:
    if group is None:
        return []
    return [
        leaf
        for one in group.exceptions
        for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]
