"""Checks what hosts really deliver: nothing reaches a stranger, nothing older replaces something newer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.record import Host, HostState, Record
from addrcast.simulation.checkers import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.core.dataplane.table import TableEntry
    from addrcast.simulation.checkers import Name, Truth
    from addrcast.simulation.world.host import SimulatedHost


class TableChecker:
    """Looks at the kernel tables of all hosts whenever an address gets an owner or an entry is written.

    Of a host that was given up nothing can be said until it is up again, unless lost hosts are waited for:
    `is_lost_counted`. What it had meanwhile is excused until then, since every receiver checks (VNI, logical).
    What is written after a restore by a host that is not up again is of the lost time.
    """

    def __init__(
        self,
        truth: Truth,
        hosts: Mapping[str, SimulatedHost],
        vnis: Mapping[int, str],
        *,
        is_lost_counted: bool,
    ) -> None:
        self._truth = truth
        self._hosts = hosts
        self._vnis = vnis
        self._vni_of = {account: vni for vni, account in vnis.items()}
        self._is_lost_counted = is_lost_counted
        self._excused: dict[str, set[TableEntry]] = {name: set() for name in hosts}
        self._behind: set[str] = set()
        self._given_up: set[str] = set()
        self._applied: dict[tuple[str, Name], int] = {}
        truth.on_owner.append(self._owned)
        truth.on_host.append(self._host_changed)
        for host in hosts.values():
            host.on_write.append(self._written)

    def restored(self) -> None:
        """Revisions begin anew, and every host has entries of the lost time."""
        self._applied.clear()
        self._behind = set(self._hosts)
        for name, host in self._hosts.items():
            if self._state(name) is HostState.LOST:
                self._given_up.add(name)
                self._excused[name] = set(host.table.entries())

    def _state(self, host: str) -> HostState | None:
        value = self._truth.hosts.get(host)
        return value.state if value is not None else None

    def _is_counted(self, host: str) -> bool:
        return self._is_lost_counted or self._state(host) not in (HostState.LOST, None)

    def _owned(self, name: Name, record: Record, before: Record | None) -> None:
        vni = self._vni_of[name[0]]
        for host in self._hosts.values():
            if not self._is_counted(host.name):
                continue
            for entry in host.table.entries():
                if entry.physical == record.physical and (entry.vni, entry.logical) != (vni, name[1]):
                    self._complain(host, entry, f"{record.physical} now belongs to {name}")
                elif before is None and (entry.vni, entry.logical) == (vni, name[1]):
                    self._complain(host, entry, f"{name} begins anew at {record.physical}")

    def _complain(self, host: SimulatedHost, entry: TableEntry, what: str) -> None:
        if entry not in self._excused[host.name]:
            raise Broken("no stranger reached", f"{what} while {host.name} delivers {tuple(entry)}")

    def _host_changed(self, name: str, value: Host | None) -> None:
        if name not in self._hosts or value is None:
            return
        if value.state is HostState.LOST and not self._is_lost_counted:
            self._given_up.add(name)
            self._excused[name] = set(self._hosts[name].table.entries())
        elif value.state is HostState.UP:
            self._given_up.discard(name)
            self._behind.discard(name)
            self._excused[name].clear()
            self._check_up(self._hosts[name])

    def _check_up(self, host: SimulatedHost) -> None:
        for entry in host.table.entries():
            owner = self._truth.owners.get(entry.physical)
            if owner is not None and owner != (self._vnis[entry.vni], entry.logical):
                raise Broken("no stranger reached", f"{host.name} is up, has {tuple(entry)}, of {owner}")

    def _written(self, host: SimulatedHost, entry: TableEntry) -> None:
        if host.name in self._given_up:
            self._excused[host.name].add(entry)
            return
        if host.name in self._behind:
            return
        name = (self._vnis[entry.vni], entry.logical)
        steps = self._truth.history.get(name, [])
        applied = self._applied.get((host.name, name), 0)
        try:
            self._applied[(host.name, name)] = steps.index(entry.physical, applied)
        except ValueError:
            raise Broken(
                "never older over newer", f"{host.name} writes {tuple(entry)}; {name} went {steps}, at {applied}"
            ) from None
        hold = self._truth.holds.get(entry.physical)
        if hold is None or (hold.account, hold.logical) != name:
            raise Broken("no stranger reached", f"{host.name} writes {tuple(entry)}, which belongs to {hold}")
