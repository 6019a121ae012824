"""The queue of requests on their way: groups of attempts, retries of losers, waits and deadlines."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from addrcast.core.assignment.answer import Answer
from addrcast.core.assignment.candidates import Candidates
from addrcast.core.assignment.creating import created
from addrcast.core.assignment.decide import decide
from addrcast.core.assignment.decision import Attempt, Decision, Held, Look, Situation
from addrcast.core.assignment.deleting import deleted
from addrcast.core.assignment.request import CreateRequest, DeleteRequest, Request
from addrcast.core.assignment.scarcity import Wait
from addrcast.core.domain.codec import entry_of
from addrcast.core.domain.errors import AddrcastError, Conflict, OutcomeUnknown, Stale, Unavailable
from addrcast.core.domain.keyspace import EPOCH, instance_key
from addrcast.core.domain.record import Entry, InstanceState, Value
from addrcast.core.domain.transitions import Draft, preempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.transaction import KeyValue, Page, Result

GROUP_MAX = 64
LOSSES_MAX = 16
LOOK_EVERY = 3
RETRY_MS = 1_000


class Pending(msgspec.Struct, eq=False):
    """A request on its way; `token` is whatever its driver knows it by.

    `is_misled` asks for a look before the next attempt, after several were lost. Of the attempts `in_doubt` nobody
    could tell whether they were carried out; with `is_untold` nobody ever will.
    """

    request: Request
    token: Any = None
    has_looked: bool = False
    is_misled: bool = False
    is_untold: bool = False
    in_doubt: tuple[Draft, ...] = ()
    losses: int = 0
    expecting: frozenset[str] = frozenset()
    retry_after_ms: int = RETRY_MS
    lack: str = "no turn came"


class Child(msgspec.Struct, frozen=True):
    """One transaction of a group: the attempt of a request, or the taking back of an idle address for it."""

    pending: Pending
    draft: Draft
    attempt: Attempt | None = None

    @property
    def keys(self) -> list[str]:
        """The keys it writes."""
        return [entry.key for entry, _ in self.draft.writes]


class Reply(msgspec.Struct, frozen=True):
    """A request is done: its answer, or why there is none."""

    pending: Pending
    answer: Answer | AddrcastError


class Turn(msgspec.Struct, frozen=True):
    """What the driver does next: commit the children as one group, give the replies, bring the view up to date for
    those that look.
    """

    children: list[Child] = []
    replies: list[Reply] = []
    looking: list[Pending] = []


class Assigner:
    """Decides on requests in groups; does no I/O and knows no time but what it is given.

    The driver calls `turn` while there is something in the queue, commits the children, and hands their results to
    `settle` (or `unknown`, where it cannot tell). No two children in flight write one key, and no child compares a
    key that another one in flight writes. Inside a group, higher tiers choose first.
    """

    def __init__(self, ledger: Ledger, *, offset: int = 0, group_max: int = GROUP_MAX) -> None:
        self._candidates = Candidates(ledger, offset=offset)
        self._group_max = group_max
        self._queue: deque[Pending] = deque()
        self._held: list[Pending] = []
        self._waiting: dict[Pending, None] = {}
        self._expected: set[str] = set()

    @property
    def ledger(self) -> Ledger:
        """The view that is decided on; the driver replaces it after a new snapshot."""
        return self._candidates.ledger

    @ledger.setter
    def ledger(self, ledger: Ledger) -> None:
        self._candidates.ledger = ledger

    @property
    def queued(self) -> int:
        """How many requests the next turns will look at."""
        return len(self._queue)

    @property
    def is_waiting(self) -> bool:
        """Whether requests wait for addresses to come free."""
        return bool(self._waiting)

    def submit(self, pending: Pending) -> None:
        """Take a request in."""
        self._queue.append(pending)

    def looked(self, pendings: Iterable[Pending]) -> None:
        """The view has come to where the store was after these requests arrived."""
        for pending in pendings:
            pending.has_looked = True
            pending.is_misled = False
            self._queue.append(pending)

    def moved(self) -> None:
        """The view has changed: requests that wait are looked at again."""
        self._queue.extend(self._waiting)
        self._waiting.clear()

    def deadline_ms(self) -> int | None:
        """When the first of the waiting requests has waited long enough."""
        return min((pending.request.deadline_ms for pending in self._waiting), default=None)

    def turn(self, now_ms: int) -> Turn:
        """Decide on the requests at the head of the queue."""
        turn = Turn()
        count = min(len(self._queue), self._group_max)
        for pending in self._by_tier([self._queue.popleft() for _ in range(count)]):
            self._decide(pending, turn, now_ms)
        return turn

    def expire(self, now_ms: int) -> list[Reply]:
        """Give up on the waiting requests whose deadline has come."""
        due = [pending for pending in self._waiting if pending.request.deadline_ms <= now_ms]
        for pending in due:
            del self._waiting[pending]
        return [self._late(pending) for pending in due]

    def settle(self, children: Sequence[Child], results: Sequence[Result]) -> list[Reply]:
        """Take in what became of a group; losers are refreshed from what beat them and asked for again."""
        replies: list[Reply] = []
        has_failed = False
        for child, result in zip(children, results, strict=True):
            self._candidates.taken.difference_update(child.keys)
            if result.is_success:
                draft = child.draft
                self.ledger.learn(draft.entries_at(result.revision), result.revision, under=draft.compares[0])
                if child.attempt is None:
                    self._queue.append(child.pending)
                else:
                    replies.append(Reply(child.pending, _answer(child.attempt, result.revision)))
            else:
                has_failed = True
                keys = [entry.key for entry in child.draft.compares]
                self._learn(dict(zip(keys, result.current, strict=True)), result.revision)
                self._lost(child.pending, replies)
        self._release_held(has_failed=has_failed)
        return replies

    def unknown(self, children: Sequence[Child]) -> list[str]:
        """Nobody knows whether this group was carried out: the keys to read for `read_back`."""
        return sorted({entry.key for child in children for entry in child.draft.compares})

    def read_back(self, children: Sequence[Child], page: Page) -> None:
        """Decide again on a group of unknown outcome, with its keys as they stand now.

        The group may still land; its compares then let one of the two tries win. A delete of whatever is bound
        means what was bound when it came, so it is pinned to that attempt. Where its view was older than itself and
        the instance is bound anew by now, nobody can tell whether it was carried out before: its caller is told so.
        """
        found = {item.key: item for item in page.items}
        self._learn({key: found.get(key) for key in self.unknown(children)}, page.revision)
        for child in children:
            self._candidates.taken.difference_update(child.keys)
            if child.attempt is not None:
                child.pending.in_doubt += (child.draft,)
                self._pin(child.pending, child.attempt.number, child.draft)
            self._queue.appendleft(child.pending)
        self._release_held(has_failed=True)

    def _pin(self, pending: Pending, number: int, draft: Draft) -> None:
        request = pending.request
        if not isinstance(request, DeleteRequest) or request.attempt is not None:
            return
        now = self.ledger.instance(request.account, request.instance)
        is_touched = any(entry.key == now.key and entry.revision != now.revision for entry in draft.compares)
        is_bound = now.value is not None and now.value.state is InstanceState.BOUND
        pending.is_untold = is_touched and is_bound and not pending.has_looked
        pending.request = replace(request, attempt=number)

    def failed(self, children: Sequence[Child], error: AddrcastError) -> list[Reply]:
        """The store refused a whole group and nothing of it happened."""
        for child in children:
            self._candidates.taken.difference_update(child.keys)
        self._release_held(has_failed=True)
        return [self.refusal(child.pending, error) for child in children]

    def refusal(self, pending: Pending, error: AddrcastError) -> Reply:
        """Tell a caller why there is no answer: while an attempt of it is in doubt, not that nothing happened."""
        if isinstance(error, Stale) or not any(self._is_open(pending, draft) for draft in pending.in_doubt):
            return Reply(pending, error)
        what = f"it may have been carried out, or may yet be ({error}); ask again, it is idempotent"
        return Reply(pending, OutcomeUnknown(what, retry_after_ms=RETRY_MS))

    def _is_open(self, pending: Pending, draft: Draft) -> bool:
        """Whether a draft in doubt may land yet, or may have.

        It writes the instance; while that stands it has not landed, and what somebody else has made of another key
        that it compares does not go back before the request is long forgotten.
        """
        instance = instance_key(pending.request.account, pending.request.instance)
        written = {entry.key: value for entry, value in draft.writes}
        changed = [
            now for entry in draft.compares if (now := self.ledger.entry(entry.key)).revision != entry.revision
        ]
        is_touched = any(now.key == instance for now in changed)
        return is_touched or all(now.key in written and now.value == written[now.key] for now in changed)

    def _decide(self, pending: Pending, turn: Turn, now_ms: int) -> None:
        if pending.request.deadline_ms <= now_ms:
            turn.replies.append(self._late(pending))
            return
        if pending.is_untold:
            what = f"instance {pending.request.instance}: it was deleted, or bound anew before; ask again"
            turn.replies.append(Reply(pending, OutcomeUnknown(what, retry_after_ms=RETRY_MS)))
            return
        if pending.is_misled:
            turn.looking.append(pending)
            return
        situation = Situation(
            self._candidates, now_ms, pending.has_looked, mine=pending.expecting, others=self._expected
        )
        decision: Decision | AddrcastError
        try:
            decision = decide(pending.request, situation)
        except AddrcastError as error:
            decision = error
        if isinstance(decision, Attempt):
            self._expect(pending, frozenset())
            turn.children.append(Child(pending, decision.draft, decision))
        elif isinstance(decision, Wait):
            self._wait(pending, decision, turn, now_ms)
        elif isinstance(decision, Look):
            turn.looking.append(pending)
        elif isinstance(decision, Held):
            self._held.append(pending)
        else:
            self._expect(pending, frozenset())
            if isinstance(decision, AddrcastError):
                turn.replies.append(self.refusal(pending, decision))
            else:
                turn.replies.append(Reply(pending, decision))

    def _wait(self, pending: Pending, wait: Wait, turn: Turn, now_ms: int) -> None:
        self._expect(pending, wait.expecting)
        pending.retry_after_ms, pending.lack = wait.retry_after_ms, f"nothing came free in {wait.lack}"
        if wait.take_back is None:
            self._waiting[pending] = None
            return
        draft = preempt(self.ledger.epoch, wait.take_back, now_ms=now_ms, request=pending.request.request)
        child = Child(pending, draft)
        self._candidates.taken.update(child.keys)
        turn.children.append(child)

    def _expect(self, pending: Pending, keys: frozenset[str]) -> None:
        if pending.expecting or keys:
            self._expected.difference_update(pending.expecting)
            self._expected.update(keys)
            pending.expecting = keys

    def _late(self, pending: Pending) -> Reply:
        self._expect(pending, frozenset())
        what = f"instance {pending.request.instance}: {pending.lack} before its deadline"
        return self.refusal(pending, Unavailable(what, retry_after_ms=pending.retry_after_ms))

    def _lost(self, pending: Pending, replies: list[Reply]) -> None:
        pending.losses += 1
        if pending.losses > LOSSES_MAX:
            self._expect(pending, frozenset())
            what = f"instance {pending.request.instance}: {pending.losses} races were lost; try again"
            replies.append(self.refusal(pending, Conflict(what)))
            return
        pending.is_misled = pending.losses % LOOK_EVERY == 0
        self._queue.appendleft(pending)

    def _learn(self, current: dict[str, KeyValue | None], revision: int) -> None:
        entries: list[Entry[Any]] = [entry_of(Value, key, item) for key, item in current.items()]
        epoch = next((entry.value for entry in entries if entry.key == EPOCH), None)
        known = self.ledger.epoch.value
        if epoch is None or known is None or epoch.epoch == known.epoch:
            # in another epoch revisions count anew: learnt into this view, both would pass for one history
            self.ledger.learn(entries, revision)

    def _release_held(self, *, has_failed: bool) -> None:
        """What this group held may be had by those that it held up, and where it failed by those that wait, too."""
        self._queue.extendleft(reversed(self._held))
        self._held.clear()
        if has_failed:
            self.moved()

    def _by_tier(self, batch: list[Pending]) -> list[Pending]:
        """Higher tiers first, those of one tier as they came."""
        if len(batch) > 1:
            rank = self._candidates.rank
            batch.sort(key=lambda pending: rank(pending.request.account))
        return batch


def _answer(attempt: Attempt, revision: int) -> Answer:
    return created(attempt, revision) if isinstance(attempt.request, CreateRequest) else deleted(attempt, revision)
