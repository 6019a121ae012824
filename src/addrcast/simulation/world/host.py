"""A simulated host: a kernel table, and the agent that keeps it while its process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.agent.machine import AgentMachine
from addrcast.core.agent.messages import (
    AccountScanned,
    AttachmentsKnown,
    Away,
    Changed,
    Commit,
    Committed,
    Compacted,
    Disturbed,
    Dumped,
    DumpTable,
    Effect,
    Event,
    HostRead,
    ListSubscriptions,
    Program,
    Programmed,
    Purpose,
    ReadHost,
    Report,
    ScanAccount,
    Started,
    SubscriptionsListed,
    Tick,
    Watch,
)
from addrcast.core.dataplane.table import Rejected
from addrcast.core.domain.errors import AddrcastError, Unavailable
from addrcast.core.domain.keyspace import EPOCH, host_alive_key, host_key
from addrcast.core.domain.transaction import Put, Transaction
from addrcast.simulation.kernel import ModelTable
from addrcast.simulation.world.follower import scan_all
from addrcast.simulation.world.link import WatchReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from addrcast.core.agent.settings import AgentSettings
    from addrcast.core.dataplane.table import TableEntry
    from addrcast.core.domain.record import Attached
    from addrcast.core.domain.transaction import Result
    from addrcast.simulation.store import ModelStore
    from addrcast.simulation.world.link import Link
    from addrcast.simulation.world.link import Watch as LinkWatch

ALIVE_MS = 1_000
BEAT_MS = 300
EARLY_MS = 3_000


class SimulatedHost:
    """Owns a table, the agent's process (`machine`, None while it is down) and its lease.

    A paused process takes nothing in and does nothing till it goes on; its table delivers all the while. Without
    `reports_attached` its agent says that it has nothing. `snapshots_early` reads what the agent will ask for up to
    `EARLY_MS` before it is counted: the wrong order.
    """

    def __init__(
        self, name: str, link: Link, dice: Random, settings: AgentSettings, *, clock_ahead_ms: int
    ) -> None:
        self.name = name
        self.link = link
        self.table = ModelTable()
        self.machine: AgentMachine | None = None
        self.lease = 0
        self.kernel_ms = 20
        self.snapshots_early = False
        self.reports_attached = True
        self.attached: dict[tuple[str, str], tuple[Attached, ...]] = {}
        self.on_write: list[Callable[[SimulatedHost, TableEntry], None]] = []
        self._early: ModelStore | None = None
        self._lineage = 0
        self._settings = settings
        self._dice = dice
        self._clock_ahead_ms = clock_ahead_ms
        self._paused: list[tuple[AgentMachine, Event]] | None = None
        self._watch: LinkWatch | None = None

    @property
    def now_ms(self) -> int:
        """This host's clock."""
        return self.link.timeline.now_ms + self._clock_ahead_ms

    def start(self) -> None:
        """The agent's process begins, with whatever is in the table."""
        self.stop()
        self.lease = 0
        machine = self.machine = AgentMachine(self.name, self._settings)
        self._tell_attached()
        self._tell(machine, Started())
        self._beat(machine)

    def attach(self, account: str, instance: str, attached: Sequence[Attached]) -> None:
        """The host has an instance from here on, or none of its addresses any more."""
        self.attached[(account, instance)] = tuple(attached)
        self._tell_attached()

    def _tell_attached(self) -> None:
        found: dict[str, tuple[Attached, ...]] = {}
        for (account, _), attached in self.attached.items() if self.reports_attached else ():
            found[account] = (*found.get(account, ()), *attached)
        if self.machine is not None:
            self._tell(self.machine, AttachmentsKnown(found))

    def stop(self) -> None:
        """The agent's process is gone; the table stays."""
        self.machine = None
        self._paused = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def reboot(self) -> None:
        """The machine comes up anew: the table is empty."""
        self.table = ModelTable()
        self.start()

    def pause(self) -> None:
        """The process stands still."""
        if self.machine is not None and self._paused is None:
            self._paused = []

    def proceed(self) -> None:
        """The process goes on with all that has come meanwhile."""
        told, self._paused = self._paused or [], None
        for machine, event in told:
            self._tell(machine, event)
        if self.machine is not None:
            self._tell(self.machine, Tick())

    def flush_links(self) -> None:
        """The table loses its entries, and the agent is told."""
        self.table.flush_links()
        if self.machine is not None:
            self._tell(self.machine, Disturbed("a link went down and up"))

    def _tell(self, machine: AgentMachine, event: Event) -> None:
        if machine is not self.machine:
            return
        if self._paused is not None:
            self._paused.append((machine, event))
            return
        for effect in machine.step(event, self.now_ms):
            self._carry_out(machine, effect)
        due_ms = machine.deadline_ms(self.now_ms)
        if due_ms is not None:
            self.link.timeline.after(max(1, due_ms - self.now_ms), lambda: self._tick(machine, due_ms))

    def _tick(self, machine: AgentMachine, due_ms: int) -> None:
        if machine is self.machine and machine.deadline_ms(self.now_ms) is not None and self.now_ms >= due_ms:
            self._tell(machine, Tick())

    def _carry_out(self, machine: AgentMachine, effect: Effect) -> None:
        match effect:
            case ReadHost() | ListSubscriptions() | ScanAccount():
                self._read(machine, effect)
            case Watch():
                if self._watch is not None:
                    self._watch.stop()
                self._watch = self.link.watch(
                    effect.prefixes,
                    effect.after_revision,
                    WatchReceiver(
                        lambda change: self._tell(machine, Changed(effect, change)),
                        lambda: self._tell(machine, Compacted(effect)),
                    ),
                )
            case Commit():
                self._commit(machine, effect)
            case Program():
                pause_ms = self._dice.randint(1, self.kernel_ms)
                self.link.timeline.after(pause_ms, lambda: self._program(machine, effect))
            case DumpTable():
                self.link.timeline.after(1, lambda: self._dump(machine))
            case Report():
                self.link.timeline.note(self.name, effect.what)

    def _read(self, machine: AgentMachine, effect: ReadHost | ListSubscriptions | ScanAccount) -> None:
        def read(model: ModelStore) -> HostRead | SubscriptionsListed | AccountScanned:
            if isinstance(effect, ReadHost):
                if self.snapshots_early:
                    self._early = self.link.site.backup()
                return effect.answer(model.read(effect.keys).items)
            revision, items = scan_all(self._early or model, effect.prefixes)
            if self._early is not None:
                present = {item.key: item for item in model.read([EPOCH, host_key(self.name)]).items}
                items = [present.get(item.key, item) for item in items]
            return effect.answer(revision, items)

        def answer(result: HostRead | SubscriptionsListed | AccountScanned | AddrcastError | None) -> None:
            if result is None or isinstance(result, AddrcastError):
                self._tell(machine, Away(effect))
            else:
                self._tell(machine, result)

        self.link.ask(read, answer)

    def _commit(self, machine: AgentMachine, effect: Commit) -> None:
        def answer(results: list[Result] | AddrcastError | None) -> None:
            if effect.purpose is Purpose.TURN_UP:
                self._early = None
            self._tell(machine, Committed(effect, tuple(results)) if isinstance(results, list) else Away(effect))

        is_waiting = self.snapshots_early and effect.purpose is Purpose.REJOIN
        pause_ms = self._dice.randint(0, EARLY_MS) if is_waiting else 0
        self.link.timeline.after(pause_ms, lambda: self.link.commit(effect.transactions, answer))

    def _program(self, machine: AgentMachine, effect: Program) -> None:
        if machine is not self.machine:
            return
        if self._paused is not None:
            self.link.timeline.after(10, lambda: self._program(machine, effect))
            return
        rejected: tuple[Rejected, ...] = ()
        try:
            for vni in effect.ensured:
                self.table.ensure_account(vni)
            for entry in effect.upserts:
                for see in self.on_write:
                    see(self, entry)
            rejected = self.table.upsert(effect.upserts) + self.table.delete(effect.deletes)
            for vni in effect.removed:
                self.table.remove_account(vni)
            done = Programmed(effect, rejected)
        except Unavailable as away:
            keys = [*(entry.key for entry in effect.upserts), *effect.deletes]
            failed = (*effect.ensured, *effect.removed)
            done = Programmed(effect, tuple(Rejected(key, str(away)) for key in keys), failed)
        if effect.upserts or effect.deletes or effect.removed:
            written = [f"{entry.vni}/{entry.logical}={entry.physical}" for entry in effect.upserts]
            gone = [f"-{key.vni}/{key.logical}" for key in effect.deletes]
            self.link.timeline.note(self.name, " ".join([*written, *gone, *map(str, effect.removed)]))
        self._tell(machine, done)

    def _dump(self, machine: AgentMachine) -> None:
        try:
            self._tell(machine, Dumped(self.table.dump()))
        except Unavailable:
            self._tell(machine, Dumped(None))

    def _beat(self, machine: AgentMachine) -> None:
        """Keep the sign of life, for as long as the process lives."""
        if machine is not self.machine:
            return
        self.link.timeline.after(BEAT_MS, lambda: self._beat(machine))
        if self._paused is not None:
            return
        now_ms = self.link.timeline.now_ms

        def keep(model: ModelStore) -> int:
            if self._lineage != self.link.site.lineage:  # the number may be another's in a store that went back
                self._lineage, self.lease = self.link.site.lineage, 0
            if self.lease:
                try:
                    model.keep_alive(self.lease, now_ms=now_ms)
                except AddrcastError:
                    self.lease = 0
            if not self.lease:
                self.lease = model.grant(ttl_ms=ALIVE_MS, now_ms=now_ms)
                model.commit([Transaction((), (Put(host_alive_key(self.name), b"", self.lease),))])
            return self.lease

        self.link.ask(keep)
