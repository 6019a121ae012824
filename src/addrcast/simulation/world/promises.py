"""Checks what callers were told: what was acknowledged stays, what was deleted stays deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.domain.record import InstanceEntry, InstanceState
from addrcast.simulation.checkers import Broken

if TYPE_CHECKING:
    from addrcast.simulation.checkers import Name, Truth


class Promises:
    """Remembers for every instance the attempt that was acknowledged as bound, and the one known to be deleted.

    `sent` knows by a request's name which attempt its caller meant: the number in the store may be another where
    the rule of attempts is left out.
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.sent: dict[str, int] = {}
        self._live: dict[Name, tuple[int, tuple[str, ...]]] = {}
        self._dead: dict[Name, int] = {}
        self._answers: dict[tuple[Name, int], tuple[str, ...]] = {}
        truth.on_instance.append(self._changed)

    def restored(self) -> None:
        """The store went back: what was said in the lost time binds nobody."""
        self._live.clear()
        self._dead.clear()
        self._answers.clear()

    def created(self, instance: Name, attempt: int, addresses: tuple[str, ...]) -> None:
        """A caller is told that the instance has its addresses. Raises Broken."""
        told = self._answers.setdefault((instance, attempt), addresses)
        if told != addresses:
            raise Broken("one answer", f"{instance} attempt {attempt} was told {told}, now {addresses}")
        self._live[instance] = (attempt, addresses)
        self._changed(instance, self._truth.instances.get(instance))

    def released(self, instance: Name) -> None:
        """The caller is about to delete the instance, or to create it anew."""
        self._live.pop(instance, None)

    def deleted(self, instance: Name, attempt: int) -> None:
        """A caller is told that this attempt, and all before it, are gone. Raises Broken."""
        self._dead[instance] = max(attempt, self._dead.get(instance, 0))
        self._changed(instance, self._truth.instances.get(instance))

    def _changed(self, instance: Name, entry: InstanceEntry | None) -> None:
        bound = entry if entry is not None and entry.state is InstanceState.BOUND else None
        meant = None if bound is None else self.sent.get(bound.request)
        dead = self._dead.get(instance)
        if bound is not None and dead is not None and meant is not None and meant <= dead:
            raise Broken("deleted stays deleted", f"{instance}: attempt {meant} is bound, {dead} was deleted")
        live = self._live.get(instance)
        if live is None:
            return
        attempt, addresses = live
        if bound is None:
            raise Broken("acknowledged stays", f"{instance} attempt {attempt} is not bound any more")
        if meant != attempt or bound.addresses != addresses:
            raise Broken("acknowledged stays", f"{instance}: {live} was acknowledged, {meant} {bound.addresses} is")
