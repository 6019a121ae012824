"""The agent of one host: decides what to read, what to program, what to acknowledge; does none of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from addrcast.core.agent.account import ServedAccount
from addrcast.core.agent.messages import (
    AccountScanned,
    Answer,
    AttachmentsKnown,
    Away,
    Changed,
    Commit,
    Committed,
    Compacted,
    Denied,
    Disturbed,
    Dumped,
    Effect,
    Event,
    HostRead,
    ListSubscriptions,
    Programmed,
    Purpose,
    ReadHost,
    Report,
    Request,
    ScanAccount,
    Started,
    SubscriptionsListed,
    Tick,
    Watch,
)
from addrcast.core.agent.programming import Programming
from addrcast.core.agent.reporting import Reporting
from addrcast.core.agent.requests import Requests
from addrcast.core.agent.serving import Serving, entry_after
from addrcast.core.agent.settings import AgentSettings
from addrcast.core.domain.errors import Stale
from addrcast.core.domain.keyspace import (
    ACCOUNTS,
    EPOCH,
    HOSTS,
    RECORDS,
    SUBSCRIPTIONS,
    acknowledgement_key,
    host_key,
    parts_of,
)
from addrcast.core.domain.record import (
    Acknowledgement,
    Entry,
    EpochState,
    Host,
    HostState,
    StoreEpoch,
    Subscription,
)
from addrcast.core.domain.resource import Account
from addrcast.core.domain.transaction import Change
from addrcast.core.domain.transaction import Event as StoreEvent
from addrcast.core.domain.transitions_host import acknowledge, host_rejoins, host_up, unsubscribe
from addrcast.core.propagation.acknowledge import Acknowledgements


class Phase(Enum):
    """How far the host has come since it was last counted anew."""

    STARTING = "reads its own table"
    COUNTING = "writes that it is back, so that it is waited for"
    REPORTING = "writes what is attached to it, since the store was restored"
    LISTING = "reads which accounts it serves"
    SYNCING = "reads its accounts and programs them"
    TURNING_UP = "writes that it is up"
    UP = "up"


_COUNTED = frozenset({Phase.SYNCING, Phase.TURNING_UP, Phase.UP})
_ACKNOWLEDGING = frozenset({Phase.SYNCING, Phase.UP})


class AgentMachine:
    """One host's agent; `step` and `deadline_ms` are all of it that its driver calls.

    A term begins with every rejoining, and every answer to a request of an earlier term is dropped: a snapshot
    that was read before the host was counted must not be acknowledged after it.

    Invariants: a snapshot is asked for only after the host's new incarnation is written; an acknowledgement bears
    the present epoch and incarnation, and a revision up to which every change is in the kernel; entries stay in the
    kernel whatever happens to the store.
    """

    def __init__(self, host: str, settings: AgentSettings | None = None) -> None:
        self.host = host
        self.settings = settings or AgentSettings()
        self.phase = Phase.STARTING
        self.term = 0
        self._programming = Programming(self.settings)
        self._serving = Serving(self._programming)
        self._acknowledgements = Acknowledgements(after_ms=self.settings.acknowledge_after_ms)
        self._requests = Requests(self.settings.backoff)
        self._reporting = Reporting(host)
        self._key: Entry[Host] = Entry(host_key(host))
        self._epoch: Entry[StoreEpoch] = Entry(EPOCH)
        self._cursor = 0
        self._number = 0
        self._watch = 0
        self._is_acknowledging = False

    @property
    def accounts(self) -> Mapping[str, ServedAccount]:
        """The accounts that this host mirrors, by name."""
        return self._serving.accounts

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Take an event; answers with what is to be done about it, in order.

        Raises: Invalid where the host's key or the epoch cannot be read (written by a newer version): the agent
        must not go on then, and what is in the kernel stays.
        """
        return [*self._take(event, now_ms), *self._proceed(now_ms)]

    def deadline_ms(self, now_ms: int) -> int | None:
        """When to step with a Tick, unless an event comes first; None is never."""
        due = [self._requests.deadline_ms(), self._programming.deadline_ms(now_ms)]
        if self.phase in _ACKNOWLEDGING and not (self._is_acknowledging or self._is_frozen):
            due.append(self._acknowledgements.deadline_ms())
        return min((at_ms for at_ms in due if at_ms is not None), default=None)

    def _take(self, event: Event, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        match event:
            case Started():
                self._programming.audit(now_ms)
            case AttachmentsKnown():
                effects = self._attached(event)
            case Dumped():
                effects = self._dumped(event, now_ms)
            case Disturbed():
                self._programming.audit(now_ms)
                effects = [Report(f"{event.reason}: the table is compared")]
            case Programmed():
                effects = self._programmed(event, now_ms)
            case Tick():
                pass
            case _ if event.cause.term == self.term:
                effects = self._answered(event, now_ms)
        return effects

    def _answered(self, event: Answer, now_ms: int) -> list[Effect]:
        if isinstance(event, Away):
            return self._away(event.cause, now_ms)
        if isinstance(event, Denied):
            return self._denied(event, now_ms)
        self._requests.answered()
        effects: list[Effect] = []
        match event:
            case HostRead():
                effects = self._host_read(event, now_ms)
            case SubscriptionsListed():
                effects = self._listed(event, now_ms)
            case AccountScanned():
                effects = self._scanned(event, now_ms)
            case Changed() if event.cause.number == self._watch:
                effects = self._changed(event.change, now_ms)
            case Compacted() if event.cause.number == self._watch:
                effects = [ListSubscriptions(self.term, self.host)]
            case Committed():
                effects = self._committed(event, now_ms)
        return effects

    def _dumped(self, event: Dumped, now_ms: int) -> list[Effect]:
        if self.phase is not Phase.STARTING:
            missing = self._programming.dumped(event.table, now_ms)
            return [Report(f"{missing} entries were not in the table as they should be")] if missing else []
        if event.table is None:
            self._programming.dumped(None, now_ms)
            return [Report("the kernel table cannot be read; nothing is done before it was")]
        self._programming.start(event.table)
        self.term = 1
        self.phase = Phase.COUNTING
        return [ReadHost(self.term, self.host)]

    def _rejoin(self, now_ms: int, why: str) -> list[Effect]:
        """Begin a term: be counted first, then read."""
        self.term += 1
        self.phase = Phase.COUNTING
        self._is_acknowledging = False
        self._acknowledgements.void()
        self._requests.clear()
        for account in self._serving.accounts.values():
            account.begin(0, self._epoch.required.epoch)
        # two agents with one name would otherwise take the host from each other without a pause
        self._requests.later(ReadHost(self.term, self.host), now_ms + self.settings.backoff.first_ms)
        return [Report(f"host {self.host} joins again: {why}")]

    def _host_read(self, event: HostRead, now_ms: int) -> list[Effect]:
        for entry, way_out in ((event.host, "declare the host"), (event.epoch, "set the store up")):
            if not entry:
                # the store answers, so this is no failure whose pause grows
                self._requests.later(event.cause, now_ms + self.settings.confirm_after_ms)
                return [Report(f"{entry.key} is not in the store; {way_out}")]
        self._key, self._epoch, self._reporting.report = event.host, event.epoch, event.report
        if self._is_frozen:
            self._requests.later(event.cause, self._requests.failed(now_ms))
            return [Report("the store is frozen while it moves to another one; the table stays as it is")]
        draft = host_rejoins(event.epoch, event.host)
        return [Commit(self.term, Purpose.REJOIN, (draft.transaction(),))]

    @property
    def _is_frozen(self) -> bool:
        return self._epoch.value is not None and self._epoch.value.state is EpochState.FROZEN

    def _attached(self, event: AttachmentsKnown) -> list[Effect]:
        """Learn what is attached; a closed store is told anew, since it goes by what it was told before."""
        before, self._reporting.attached = self._reporting.attached, event.attached
        is_closed = self._epoch.value is not None and self._epoch.value.state is EpochState.CLOSED
        if before == event.attached or not is_closed or self.phase not in _COUNTED:
            return []
        return [self._report()]

    def _report(self) -> Commit:
        return Commit(self.term, Purpose.REPORT, self._reporting.transactions(self._epoch, self._key))

    def _reported(self, event: Committed, now_ms: int) -> list[Effect]:
        revisions = [result.revision for result in event.results if result.is_success]
        if len(revisions) < len(event.results):
            if self.phase is Phase.REPORTING:
                self.phase = Phase.COUNTING
                return [ReadHost(self.term, self.host)]
            return self._rejoin(now_ms, "what is attached to it could not be written")
        self._reporting.written(self._epoch, self._key, revisions[-1])
        return self._list() if self.phase is Phase.REPORTING else []

    def _list(self) -> list[Effect]:
        self.phase = Phase.LISTING
        return [ListSubscriptions(self.term, self.host)]

    def _listed(self, event: SubscriptionsListed, now_ms: int) -> list[Effect]:
        if not self._is_still_counted(event.host, event.epoch):
            return self._rejoin(now_ms, "it was given up, removed or restored in the meantime")
        self._cursor = event.revision
        for name in self._serving.subscribe_all(dict(event.subscriptions)):
            self._acknowledgements.forget(name)
        if self.phase is Phase.LISTING:
            self.phase = Phase.SYNCING
        return [self._watch_again(), *[self._scan(account) for account in self._serving.accounts.values()]]

    def _watch_again(self) -> Watch:
        self._number += 1
        self._watch = self._number
        return Watch(self.term, self._watch, self._serving.prefixes(self.host), self._cursor)

    def _scan(self, account: ServedAccount) -> ScanAccount:
        self._number += 1
        account.begin(self._number, self._epoch.required.epoch)
        return ScanAccount(self.term, account.name, account.scan)

    def _scanned(self, event: AccountScanned, now_ms: int) -> list[Effect]:
        account = self._serving.accounts.get(event.cause.account)
        if account is None or event.cause.number != account.scan:
            return []
        if not event.epoch or event.epoch.required.epoch != self._epoch.required.epoch:
            return self._rejoin(now_ms, "the store's epoch is another")
        if account.denials:
            # it was not watched: what happens between this snapshot and the watch would be missed
            account.denials = 0
            return [Report(f"account {account.name} may be read now"), self._watch_again(), self._scan(account)]
        try:
            faults = self._serving.adopt(event)
        except Stale as stale:
            faults = [str(stale)]
        if not account.mirror.is_synced:
            self._requests.later(event.cause, now_ms + self.settings.confirm_after_ms)
        self._note(account, now_ms)
        return [*map(Report, faults), *self._part(account)]

    def _changed(self, change: Change, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        touched: dict[str, ServedAccount] = {}
        self._cursor = change.revision
        for event in change.events:
            kind, first, second = parts_of(event.key)
            if kind == EPOCH or (kind == HOSTS and first == self.host):
                host = entry_after(Host, event) if kind == HOSTS else self._key
                epoch = entry_after(StoreEpoch, event) if kind == EPOCH else self._epoch
                was_frozen = self._is_frozen
                if not self._is_still_counted(host, epoch):
                    return self._rejoin(now_ms, f"{event.key} has changed")
                if was_frozen and not self._is_frozen:
                    effects += [each for left in self._serving.accounts.values() for each in self._part(left)]
            elif kind == SUBSCRIPTIONS and first == self.host:
                effects += self._subscribed(second, entry_after(Subscription, event))
            elif kind in (RECORDS, ACCOUNTS) and (account := self._serving.accounts.get(first)) is not None:
                touched[first] = account
                if kind == RECORDS:
                    effects += map(Report, self._serving.change(account, event))
                else:
                    effects += self._declared(account, event)
        for account in touched.values():
            account.mirror.advance(change.revision)
            self._note(account, now_ms)
        return effects

    def _is_still_counted(self, host: Entry[Host], epoch: Entry[StoreEpoch]) -> bool:
        """Whether this incarnation and epoch are in force as H and E stand; if so, both are taken in."""
        if host.value is None or host.value.incarnation != self._key.required.incarnation:
            return False
        if epoch.value is None or epoch.value.epoch != self._epoch.required.epoch:
            return False
        if host.revision > self._key.revision:  # the answer to an own write may come before its event
            self._key = host
        self._epoch = epoch
        return True

    def _subscribed(self, name: str, subscription: Entry[Subscription]) -> list[Effect]:
        before = self._serving.accounts.get(name)
        if not subscription:
            self._acknowledgements.forget(name)
            self._serving.drop(name)
            return []
        was_leaving = before is not None and before.is_leaving
        account = self._serving.serve(name, subscription)
        if before is None:
            return [self._watch_again(), self._scan(account)]
        if account.is_leaving:
            self._acknowledgements.forget(name)
            return self._part(account)
        return [self._scan(account)] if was_leaving else []

    def _declared(self, account: ServedAccount, event: StoreEvent) -> list[Effect]:
        """An account's declaration changed: where its virtual network is another, look at all of it again."""
        declared = entry_after(Account, event).value
        return [] if declared is None or declared.vni == account.vni else [self._scan(account)]

    def _part(self, account: ServedAccount) -> list[Effect]:
        """Take a leaving account out of the kernel; once nothing of it is there, out of the store."""
        if not account.is_leaving or self.phase not in _COUNTED or self._is_frozen:
            return []
        if account.vni is None and not account.is_scanned:
            return []  # the scan tells which virtual network it is
        if self._serving.clear(account):
            return []
        acknowledgement: Entry[Acknowledgement] = Entry(acknowledgement_key(self.host, account.name))
        draft = unsubscribe(self._epoch, account.subscription, acknowledgement)
        return [Commit(self.term, Purpose.UNSUBSCRIBE, (draft.transaction(),), ((account.name, 0),))]

    def _programmed(self, event: Programmed, now_ms: int) -> list[Effect]:
        accounts, left = self._programming.settle(event, now_ms)
        effects: list[Effect] = []
        for account in accounts:
            self._note(account, now_ms)
        for name in left:
            account_left = self._serving.accounts.get(name)
            effects += [] if account_left is None else self._part(account_left)
        if event.rejected or event.failed:
            first = event.rejected[0] if event.rejected else f"the account with VNI {event.failed[0]}"
            count = len(event.rejected) + len(event.failed)
            effects.append(Report(f"the kernel refused {count} changes, which are tried again: {first}"))
        return effects

    def _note(self, account: ServedAccount, now_ms: int) -> None:
        """Acknowledge what the account has come to."""
        revision = account.applied_revision(self._cursor)
        if revision is not None and self._speaks_for(account.name):
            is_urgent = account.answers(revision)
            self._acknowledgements.applied(account.name, revision, now_ms, is_urgent=is_urgent)

    def _speaks_for(self, name: str) -> bool:
        account = self._serving.accounts.get(name)
        return account is not None and not account.is_leaving

    def _committed(self, event: Committed, now_ms: int) -> list[Effect]:
        cause, result = event.cause, event.results[0]
        retry_ms = now_ms + self.settings.backoff.first_ms
        match cause.purpose:
            case Purpose.REJOIN:
                if not result.is_success:
                    return [ReadHost(self.term, self.host)]
                self._key = host_rejoins(self._epoch, self._key).entries_at(result.revision)[0]
                if self._epoch.required.state is EpochState.OPEN:
                    return self._list()
                self.phase = Phase.REPORTING
                return [self._report()]
            case Purpose.REPORT:
                return self._reported(event, now_ms)
            case Purpose.ACKNOWLEDGE:
                self._is_acknowledging = False
                for (name, revision), each in zip(cause.accounts, event.results, strict=True):
                    if not self._speaks_for(name):
                        continue
                    if each.is_success:
                        self._acknowledgements.written(name, revision)
                    else:  # H or E has moved: the watch is about to say how
                        self._acknowledgements.failed(name, revision, due_ms=retry_ms)
            case _ if not result.is_success:
                self._requests.later(cause, retry_ms)
            case Purpose.TURN_UP if result.revision > self._key.revision:
                self._key = host_up(self._epoch, self._key).entries_at(result.revision)[0]
        return []

    def _away(self, cause: Request, now_ms: int) -> list[Effect]:
        due_ms = self._requests.failed(now_ms)
        if isinstance(cause, Commit) and cause.purpose is Purpose.REPORT and self.phase is not Phase.REPORTING:
            return self._rejoin(now_ms, "it is not known whether its report was written")
        if isinstance(cause, Commit) and cause.purpose is Purpose.ACKNOWLEDGE:
            self._is_acknowledging = False
            for name, revision in filter(lambda item: self._speaks_for(item[0]), cause.accounts):
                self._acknowledgements.failed(name, revision, due_ms=due_ms)
                self._acknowledgements.reassure(name, due_ms=now_ms + self.settings.reassure_after_ms)
        else:
            self._requests.later(cause, due_ms)
        return []

    def _denied(self, event: Denied, now_ms: int) -> list[Effect]:
        """Whoever grants rights may be about to: ask again later, and serve what may be served meanwhile."""
        cause = event.cause
        if isinstance(cause, ScanAccount):
            account = self._serving.accounts.get(cause.account)
            if account is None or cause.number != account.scan:
                return []
            account.denials += 1
            self._requests.later(cause, now_ms + self.settings.backoff.pause_ms(account.denials))
            if account.denials > 1:
                return []
            return [Report(f"account {account.name} may not be read yet: {event.why}"), self._watch_again()]
        if isinstance(cause, Watch):
            if cause.number != self._watch:
                return []
            if all(account.is_scanned and not account.denials for account in self._serving.accounts.values()):
                # rights to an account that is served are gone: its scan tells which one
                cause = ListSubscriptions(self.term, self.host)
        return [Report(f"denied, and tried again: {event.why}"), *self._away(cause, now_ms)]

    @property
    def denied(self) -> tuple[str, ...]:
        """The accounts that this host is subscribed to and may not read, in order."""
        return tuple(sorted(name for name, account in self._serving.accounts.items() if account.denials))

    def _proceed(self, now_ms: int) -> list[Effect]:
        effects = [again for request in self._requests.take(now_ms) for again in self._ask_again(request)]
        # one of the two at a time: turning up changes H, which an acknowledgement compares
        if self.phase in _ACKNOWLEDGING and not (self._is_acknowledging or self._is_frozen):
            effects += self._acknowledge(now_ms)
        if not (self._is_acknowledging or self._is_frozen):
            effects += self._turn_up(now_ms)
        program, dump = self._programming.next(now_ms), self._programming.next_dump(now_ms)
        return [*effects, *[step for step in (program, dump) if step is not None]]

    def _ask_again(self, request: Request) -> list[Effect]:
        match request:
            case Watch():
                return [self._watch_again()] if request.number == self._watch else []
            case ScanAccount():
                account = self._serving.accounts.get(request.account)
                return [self._scan(account)] if account is not None and account.scan == request.number else []
            case Commit(purpose=Purpose.REJOIN | Purpose.REPORT):
                # it may have landed: what stands at the keys now is to be read
                self.phase = Phase.COUNTING
                return [ReadHost(self.term, self.host)]
            case Commit(purpose=Purpose.TURN_UP):
                self.phase = Phase.SYNCING
                return []
            case Commit():
                account = self._serving.accounts.get(request.accounts[0][0])
                return self._part(account) if account is not None else []
            case _:
                return [request]

    def _turn_up(self, now_ms: int) -> list[Effect]:
        is_synced = self.phase is Phase.SYNCING and all(a.is_tried for a in self._serving.accounts.values())
        if is_synced and self._programming.has_strays(now_ms):
            return []  # after a restore nobody waits for what is left of accounts that the store does not know of
        if is_synced and self._key.required.state is HostState.REJOINING:
            self.phase = Phase.TURNING_UP
            return [Commit(self.term, Purpose.TURN_UP, (host_up(self._epoch, self._key).transaction(),))]
        if is_synced or (self.phase is Phase.TURNING_UP and self._key.required.state is not HostState.REJOINING):
            self.phase = Phase.UP
            self._programming.audit(now_ms + self.settings.confirm_after_ms)
        return []

    def _acknowledge(self, now_ms: int) -> list[Effect]:
        accounts = tuple(self._acknowledgements.take(now_ms))
        if not accounts:
            return []
        self._is_acknowledging = True
        drafts = [
            acknowledge(
                self._epoch,
                self._key,
                self._serving.accounts[name].subscription,
                Entry(acknowledgement_key(self.host, name)),
                revision=revision,
            )
            for name, revision in accounts
        ]
        return [Commit(self.term, Purpose.ACKNOWLEDGE, tuple(draft.transaction() for draft in drafts), accounts)]
