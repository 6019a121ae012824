"""A host of a model cluster: an agent's machine over a model store and a model table, one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.agent.machine import AgentMachine
from addrcast.core.agent.messages import (
    AttachmentsKnown,
    Away,
    Changed,
    Commit,
    Committed,
    Compacted,
    Denied,
    Dumped,
    DumpTable,
    ListSubscriptions,
    Program,
    Programmed,
    ReadHost,
    Report,
    ScanAccount,
    Started,
    Tick,
    Watch,
)
from addrcast.core.dataplane.table import Rejected
from addrcast.core.domain.errors import Unavailable
from addrcast.core.domain.keyspace import records_of
from addrcast.ports.store import Compacted as WatchCompacted
from addrcast.simulation.kernel import ModelTable

if TYPE_CHECKING:
    from addrcast.core.agent.messages import Effect, Event, Request
    from addrcast.core.agent.settings import AgentSettings
    from addrcast.core.domain.record import Attached
    from addrcast.core.domain.transaction import Change, KeyValue
    from addrcast.simulation.store import ModelStore


class ModelHost:
    """What an agent asks for waits in `asked` until it is carried out; the answer waits in `answers`.

    So a test decides what happens in which order. `is_cut_off` is whether the store can be reached, `forbidden` are
    accounts that may not be read, nor a watch be begun that has one of them in it; a process that is killed leaves
    its table as it was, and what it asked for may still be carried out.
    """

    def __init__(self, name: str, store: ModelStore, *, settings: AgentSettings | None = None) -> None:
        self.name = name
        self.store = store
        self.table = ModelTable()
        self.machine: AgentMachine | None = None
        self.is_cut_off = False
        self.forbidden: set[str] = set()
        self.asked: list[Request | Program | DumpTable] = []
        self.answers: list[Event] = []
        self.reports: list[str] = []
        self._settings = settings
        self.attached: dict[str, tuple[Attached, ...]] | None = {}
        self.watch: Watch | None = None
        self._seen = 0

    def start(self, now_ms: int) -> None:
        """The agent's process begins, with nothing but the kernel's table."""
        self.kill()
        self.machine = AgentMachine(self.name, self._settings)
        if self.attached is not None:
            self.give(AttachmentsKnown(self.attached), now_ms)
        self.give(Started(), now_ms)

    def attach(self, attached: dict[str, tuple[Attached, ...]] | None, now_ms: int) -> None:
        """The host has these instances, by account; None where its agent does not know them when it starts."""
        self.attached = attached
        if attached is not None:
            self.give(AttachmentsKnown(attached), now_ms)

    def kill(self) -> None:
        """The agent's process ends between two instructions."""
        self.machine = None
        self.watch = None
        self.asked.clear()
        self.answers.clear()

    def give(self, event: Event, now_ms: int) -> None:
        """Step the machine; what it asks for waits."""
        if self.machine is None:
            return
        for effect in self.machine.step(event, now_ms):
            self._ask(effect)

    def carry_out(self, index: int = 0, *, is_reply_lost: bool = False) -> None:
        """Do what was asked for; its answer waits. The reply of a store can be lost."""
        effect = self.asked.pop(index)
        if isinstance(effect, DumpTable | Program):
            self.answers.append(self._in_kernel(effect))
        elif self.is_cut_off:
            self.answers.append(Away(effect))
        elif isinstance(effect, ScanAccount) and effect.account in self.forbidden:
            self.answers.append(Denied(effect, "permission denied"))
        else:
            answer = self._in_store(effect)
            self.answers.append(Away(effect) if is_reply_lost else answer)

    def answer(self, now_ms: int, index: int = 0) -> None:
        """Give an answer that waits."""
        self.give(self.answers.pop(index), now_ms)

    def deliver(self, now_ms: int) -> bool:
        """Give the next change that the watch has; false where there is none."""
        watch = self.watch
        if watch is None or self.is_cut_off:
            return False
        try:
            change = self._next_change(watch)
        except WatchCompacted:
            self.watch = None
            self.give(Compacted(watch), now_ms)
            return True
        if change is None:
            return False
        self._seen = change.revision
        self.give(Changed(watch, change), now_ms)
        return True

    def tick(self, now_ms: int) -> None:
        """Time passes."""
        due_ms = None if self.machine is None else self.machine.deadline_ms(now_ms)
        if due_ms is not None and due_ms <= now_ms:
            self.give(Tick(), now_ms)

    def settle(self, now_ms: int) -> None:
        """Do and answer all there is, at one moment."""
        self.tick(now_ms)
        while self.asked or self.answers or self.deliver(now_ms):
            while self.asked:
                self.carry_out()
            while self.answers:
                self.answer(now_ms)

    def _ask(self, effect: Effect) -> None:
        match effect:
            case Report():
                self.reports.append(effect.what)
            case Watch() if any(records_of(account) in effect.prefixes for account in self.forbidden):
                self.watch = None
                self.answers.append(Denied(effect, "permission denied"))
            case Watch():
                self.watch, self._seen = effect, effect.after_revision
            case _:
                self.asked.append(effect)

    def _next_change(self, watch: Watch) -> Change | None:
        changes = self.store.changes(watch.prefixes, after_revision=self._seen, up_to=self.store.revision)
        return changes[0] if changes else None

    def _in_store(self, effect: Request) -> Event:
        match effect:
            case ReadHost():
                return effect.answer(self.store.read(effect.keys).items)
            case ListSubscriptions() | ScanAccount():
                revision = self.store.revision
                items: list[KeyValue] = []
                for prefix in effect.prefixes:
                    items += self.store.scan(prefix, revision=revision).items
                return effect.answer(revision, items)
            case Commit():
                return Committed(effect, tuple(self.store.commit(effect.transactions)))
            case Watch():
                raise AssertionError("a watch is not a request of its own here")

    def _in_kernel(self, effect: DumpTable | Program) -> Event:
        try:
            if isinstance(effect, DumpTable):
                return Dumped(self.table.dump())
            for vni in effect.ensured:
                self.table.ensure_account(vni)
            rejected = (*self.table.upsert(effect.upserts), *self.table.delete(effect.deletes))
            for vni in effect.removed:
                self.table.remove_account(vni)
            return Programmed(effect, rejected)
        except Unavailable:
            return Dumped(None) if isinstance(effect, DumpTable) else refusal_of(effect)


def refusal_of(program: Program) -> Programmed:
    """Nothing of a batch was done, as far as is known."""
    reason = "the kernel is away"
    keys = [*(entry.key for entry in program.upserts), *program.deletes]
    return Programmed(program, tuple(Rejected(key, reason) for key in keys), (*program.ensured, *program.removed))
