"""What to do for a delete: release what is bound, bury what is not yet, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addrcast.core.assignment.answer import Deleted
from addrcast.core.assignment.decision import Attempt, Decision, Held, Look, Situation, check_epoch, records_of
from addrcast.core.domain.record import Entry, EpochState, InstanceEntry, InstanceState
from addrcast.core.domain.transitions import delete_before_create, release

if TYPE_CHECKING:
    from addrcast.core.assignment.request import DeleteRequest


def decide_delete(request: DeleteRequest, situation: Situation) -> Decision:
    """Decide on a delete; it goes on while the store is closed for creates. Raises Unavailable."""
    check_epoch(situation, EpochState.OPEN, EpochState.CLOSED)
    instance = situation.candidates.ledger.instance(request.account, request.instance)
    if instance.key in situation.candidates.taken:
        return Held()
    before = instance.value
    is_bound = before is not None and before.state is InstanceState.BOUND
    if before is None or (not is_bound and request.attempt is not None and request.attempt > before.attempt):
        return _bury(request, situation, instance)
    if not is_bound or (request.attempt is not None and request.attempt < before.attempt):
        is_own = bool(request.request) and before.request == request.request
        if request.attempt is None and not is_own and not situation.has_looked:
            return Look()  # another replica may have bound it since, and answered
        return Deleted(request.account, request.instance, before.attempt, (), instance.revision, is_change=is_own)
    return _release(request, situation, instance)


def deleted(attempt: Attempt, revision: int) -> Deleted:
    """What a delete is told whose attempt the store carried out at `revision`."""
    request = attempt.request
    is_change = bool(attempt.addresses)
    return Deleted(
        request.account, request.instance, attempt.number, attempt.addresses, revision, is_change=is_change
    )


def _bury(request: DeleteRequest, situation: Situation, instance: Entry[InstanceEntry]) -> Attempt:
    number = request.attempt or 0
    draft = delete_before_create(
        situation.candidates.ledger.epoch,
        instance,
        attempt=number,
        now_ms=situation.now_ms,
        request=request.request,
    )
    situation.candidates.taken.add(instance.key)
    return Attempt(request, number, draft)


def _release(request: DeleteRequest, situation: Situation, instance: Entry[InstanceEntry]) -> Decision:
    bound = instance.required
    records = records_of(situation, request, bound)
    if records is None:
        return Look()
    number = bound.attempt if request.attempt is None else request.attempt
    draft = release(
        situation.candidates.ledger.epoch,
        instance,
        records,
        attempt=number,
        now_ms=situation.now_ms,
        request=request.request,
    )
    attempt = Attempt(request, number, draft, addresses=bound.addresses)
    situation.candidates.taken.update(attempt.keys)
    return attempt
