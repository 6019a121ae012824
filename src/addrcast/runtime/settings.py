"""What can be set, for every role: sections of settings, each with its bounds, its default and what it decides."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from addrcast.core.agent.settings import AgentSettings
from addrcast.core.controller.settings import ControllerSettings
from addrcast.core.controller.territory import SHARDS_MAX
from addrcast.core.domain.resource import DAY_MS, HOUR_MS, MINUTE_MS
from addrcast.core.propagation.audience import LostHosts
from addrcast.runtime.lease import TTL_MS
from addrcast.runtime.open_store import StoreOptions

_AGENT, _CONTROLLER = AgentSettings(), ControllerSettings()
NAME = r"^[A-Za-z0-9_-]{0,63}$"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that belong together: a table of the file."""


class StoreSection(StoreOptions, frozen=True, kw_only=True):
    """Where the records are."""

    address: Annotated[
        str,
        Meta(
            description="a folder for the embedded store, etcd://HOST:PORT,...[/ROOT] or consul://HOST:PORT[/ROOT]",
            extra={"flag": "--store"},
        ),
    ] = ""
    password_file: Annotated[str, Meta(description="file whose first line is the password")] = ""
    token_file: Annotated[str, Meta(description="file whose first line is the token")] = ""


class LogSection(Section, frozen=True, kw_only=True):
    """What is written to the error stream, one line each."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="the least important lines that are written")
    ] = "info"
    format: Annotated[
        Literal["text", "json"], Meta(description="text: time, level and key=value; json: one object a line")
    ] = "text"


class ProcessSection(Section, frozen=True, kw_only=True):
    """The life of a process."""

    ready_file: Annotated[str, Meta(description="file that is there while the role is ready")] = ""
    drain_ms: Annotated[
        int, Meta(description="how long SIGTERM waits for what is under way", ge=0, le=10 * MINUTE_MS)
    ] = 10_000


class SocketSection(Section, frozen=True, kw_only=True):
    """The unix socket at which a role takes calls, or only tells its status."""

    path: Annotated[
        str,
        Meta(
            description="empty: api.sock (serve and api), controller.sock or agent.sock in /run/addrcast for root, "
            "else in $XDG_RUNTIME_DIR/addrcast or ~/.local/state/addrcast",
            extra={"flag": "--socket"},
        ),
    ] = ""
    mode: Annotated[str, Meta(description="its permissions, octal", pattern="^0?[0-7]{3}$")] = "0600"
    group: Annotated[str, Meta(description="the group that it belongs to; give it a mode of 0660 then")] = ""
    connections_max: Annotated[int, Meta(description="connections at once; further ones are refused", ge=1)] = 128
    requests_max: Annotated[
        int, Meta(description="requests under way at once, of all connections; further ones wait unread", ge=1)
    ] = 4_096
    pipeline_max: Annotated[int, Meta(description="requests under way at once on one connection", ge=1)] = 1_024
    message_bytes_max: Annotated[int, Meta(description="longest message that is read", ge=1_024, le=16 << 20)] = (
        64 << 10
    )


class LimitsSection(Section, frozen=True, kw_only=True):
    """What all replicas and controllers of one store have to agree on."""

    deadline_max_ms: Annotated[
        int,
        Meta(
            description="longest deadline of a request, later ones are brought forward; deleted instances are "
            "remembered for more than twice this time",
            ge=100,
            le=10 * MINUTE_MS,
        ),
    ] = _CONTROLLER.deadline_max_ms
    skew_max_ms: Annotated[
        int, Meta(description="how far the clocks of all machines may lie apart", ge=0, le=MINUTE_MS)
    ] = _CONTROLLER.skew_max_ms


class ApiSection(Section, frozen=True, kw_only=True):
    """The assignment service."""

    replica: Annotated[
        str,
        Meta(
            description="name of this replica, another for each: replicas begin to look for free addresses at "
            "different places; empty: host name and process",
            extra={"flag": "--replica"},
        ),
    ] = ""


class ControllerSection(Section, frozen=True, kw_only=True):
    """The controller's times."""

    name: Annotated[
        str, Meta(description="name of this controller, another for each; empty: host name and process")
    ] = ""
    lease_ms: Annotated[
        int,
        Meta(description="a controller that dies without a word is noticed after so long", ge=500, le=MINUTE_MS),
    ] = TTL_MS
    shards: Annotated[
        int,
        Meta(
            description="shards of accounts in a store that has none yet; else the store's number counts; 0: 16",
            ge=0,
            le=SHARDS_MAX,
        ),
    ] = 0
    plan_every_ms: Annotated[int, Meta(description="how often a plan is made", ge=1_000, le=DAY_MS)] = (
        _CONTROLLER.plan_every_ms
    )
    host_lost_ms: Annotated[
        int, Meta(description="a host without a sign of life for so long is given up", ge=1_000, le=DAY_MS)
    ] = _CONTROLLER.host_lost_ms
    lost_hosts: Annotated[
        Literal["left out", "waited for"],
        Meta(
            description="whether addresses cool without waiting for lost hosts; `left out` needs receivers that "
            "check (kernel backends routes and bpf)"
        ),
    ] = _CONTROLLER.lost_hosts.value
    leave_after_ms: Annotated[
        int, Meta(description="a host leaves an account of which it has had nothing for so long", ge=10_000)
    ] = _CONTROLLER.leave_after_ms


class PlanningSection(Section, frozen=True, kw_only=True):
    """What plans are made from."""

    is_on: Annotated[bool, Meta(description="whether plans are made; all other duties go on without")] = True
    history_file: Annotated[
        str,
        Meta(
            description="history of the accounts (CSV, CSV.gz, Parquet) that the forecast is fitted on at the start"
        ),
    ] = ""
    history_columns: Annotated[
        str, Meta(description="where its columns have other names: NAME=COLUMN,... as for `addrcast forecast`")
    ] = ""
    step_s: Annotated[
        int,
        Meta(description="step of the counts that the controller takes from the ledger itself", ge=5, le=3_600),
    ] = 60
    propagation_ms: Annotated[
        int,
        Meta(
            description="how long a reservation takes to all hosts; with `controller.plan_every_ms` it is the lead "
            "that a plan covers",
            ge=0,
            le=HOUR_MS,
        ),
    ] = 5_000


class AgentSection(Section, frozen=True, kw_only=True):
    """The agent of one host."""

    host: Annotated[
        str,
        Meta(
            description="the declared host whose table this agent keeps; `serve` has an agent only where it is set",
            pattern=NAME,
            extra={"flag": "--host"},
        ),
    ] = ""
    kernel: Annotated[
        Literal["model"],
        Meta(description="translation table: `model` is one in this process's memory, it programs no kernel"),
    ] = "model"
    lease_ms: Annotated[int, Meta(description="for how long a sign of life holds", ge=1_000, le=10 * MINUTE_MS)] = (
        15_000
    )
    acknowledge_after_ms: Annotated[
        int, Meta(description="acknowledgements that nobody waits for are gathered for so long", ge=0, le=MINUTE_MS)
    ] = _AGENT.acknowledge_after_ms
    audit_every_ms: Annotated[
        int, Meta(description="how often the table is read back and compared", ge=1_000, le=DAY_MS)
    ] = _AGENT.audit_every_ms
    removal_max: Annotated[
        int, Meta(description="more entries than this are removed only after a second look", ge=0)
    ] = _AGENT.removal_max


class RoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every role has."""

    store: StoreSection = StoreSection()
    log: LogSection = LogSection()
    process: ProcessSection = ProcessSection()
    socket: SocketSection = SocketSection()


class ApiSettings(RoleSettings, frozen=True, kw_only=True):
    """`addrcast api`."""

    limits: LimitsSection = LimitsSection()
    api: ApiSection = ApiSection()


class ControllerRoleSettings(RoleSettings, frozen=True, kw_only=True):
    """`addrcast controller`."""

    limits: LimitsSection = LimitsSection()
    controller: ControllerSection = ControllerSection()
    planning: PlanningSection = PlanningSection()


class AgentRoleSettings(RoleSettings, frozen=True, kw_only=True):
    """`addrcast agent`."""

    agent: AgentSection = AgentSection()


class ServeSettings(RoleSettings, frozen=True, kw_only=True):
    """`addrcast serve`: all of them."""

    limits: LimitsSection = LimitsSection()
    api: ApiSection = ApiSection()
    controller: ControllerSection = ControllerSection()
    planning: PlanningSection = PlanningSection()
    agent: AgentSection = AgentSection()


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What commands that only look into a store need."""

    store: StoreSection = StoreSection()


ROLES: dict[str, type[RoleSettings]] = {
    "serve": ServeSettings,
    "api": ApiSettings,
    "controller": ControllerRoleSettings,
    "agent": AgentRoleSettings,
}


def controller_settings(controller: ControllerSection, limits: LimitsSection) -> ControllerSettings:
    """The settings of the controller's machine."""
    return ControllerSettings(
        skew_max_ms=limits.skew_max_ms,
        deadline_max_ms=limits.deadline_max_ms,
        host_lost_ms=controller.host_lost_ms,
        lost_hosts=LostHosts(controller.lost_hosts),
        leave_after_ms=controller.leave_after_ms,
        plan_every_ms=controller.plan_every_ms,
    )


def agent_settings(agent: AgentSection) -> AgentSettings:
    """The settings of the agent's machine."""
    return AgentSettings(
        acknowledge_after_ms=agent.acknowledge_after_ms,
        audit_every_ms=agent.audit_every_ms,
        removal_max=agent.removal_max,
    )
