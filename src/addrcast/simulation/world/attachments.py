"""What hosts have attached, by what callers were told; and that a restored store has it once it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.codec import decode
from addrcast.core.domain.keyspace import EPOCH
from addrcast.core.domain.record import AddressState, Attached, EpochState, HostState, StoreEpoch
from addrcast.simulation.checkers import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.core.assignment.answer import Placed
    from addrcast.core.domain.record import Host
    from addrcast.core.domain.transaction import Change
    from addrcast.simulation.checkers import Name, Truth
    from addrcast.simulation.world.host import SimulatedHost


class Attachments:
    """Attaches an instance to its host when its caller is told, and takes it off before its caller deletes it."""

    def __init__(self, truth: Truth, hosts: Mapping[str, SimulatedHost]) -> None:
        self._truth = truth
        self._hosts = hosts
        self._at: dict[Name, str] = {}
        self._kept: set[Name] | None = None  # attached since before the restore; None while the store is not closed
        truth.on_host.append(self._host_changed)

    def attach(self, instance: Name, attempt: int, addresses: tuple[Placed, ...]) -> None:
        """The caller was told that the instance has these addresses."""
        self.detach(instance)
        host = self._at[instance] = addresses[0].host
        attached = [Attached(each.logical, each.physical, instance[1], attempt) for each in addresses]
        self._hosts[host].attach(*instance, attached)

    def detach(self, instance: Name) -> None:
        """The caller is about to delete the instance, or to create it anew."""
        host = self._at.pop(instance, "")
        if self._kept is not None:
            self._kept.discard(instance)
        if host:
            self._hosts[host].attach(*instance, ())

    def is_attached(self, instance: Name) -> bool:
        """Whether a host that is not given up has the instance."""
        host = self._truth.hosts.get(self._at.get(instance, ""))
        return host is not None and host.state is not HostState.LOST

    def restored(self) -> None:
        """The store went back. An answer that comes later is of the lost time; its host may report it too late."""
        self._kept = set(self._at)

    def _host_changed(self, host: str, value: Host | None) -> None:
        """A host that was given up meanwhile is left out, even if it is back when the store opens."""
        if self._kept is not None and (value is None or value.state is HostState.LOST):
            self._kept -= {instance for instance, at in self._at.items() if at == host}

    def see(self, change: Change) -> None:
        """When the store opens, everything that hosts have must be theirs. Raises Broken."""
        for event in change.events:
            if event.key != EPOCH or event.value is None or self._kept is None:
                continue
            epoch = decode(EPOCH, event.value)
            if isinstance(epoch, StoreEpoch) and epoch.state is EpochState.OPEN:
                for instance in sorted(self._kept):
                    if self.is_attached(instance):
                        self._check(instance)
                self._kept = None

    def _check(self, instance: Name) -> None:
        host = self._at[instance]
        for each in self._hosts[host].attached[instance]:
            record = self._truth.records.get((instance[0], each.logical))
            if record is None or (record.state, record.instance, record.host, record.attempt) != (
                AddressState.BOUND,
                instance[1],
                host,
                each.attempt,
            ):
                raise Broken("attached stays", f"{host} has {instance} {each}, the store opens with {record}")
