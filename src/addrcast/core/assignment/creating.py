"""What to do for a create: attempt a binding, repeat what is bound, wait for an address, or refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from addrcast.core.assignment.answer import Created, Placed, placed
from addrcast.core.assignment.choice import Choice, Lack, LackOf, pools_of
from addrcast.core.assignment.decision import (
    CLOSED_RETRY_MS,
    Attempt,
    Decision,
    Held,
    Look,
    Situation,
    check_epoch,
    records_of,
)
from addrcast.core.assignment.places import check_host, hosts_for
from addrcast.core.assignment.scarcity import is_in_flight, relieve
from addrcast.core.domain.errors import Exhausted, Invalid, Stale, Unavailable
from addrcast.core.domain.keyspace import parts_of
from addrcast.core.domain.record import (
    Entry,
    EpochState,
    InstanceEntry,
    InstanceState,
    PhysicalHold,
    PoolAddress,
    Record,
)
from addrcast.core.domain.transitions_create import Claim, create

if TYPE_CHECKING:
    from addrcast.core.assignment.request import CreateRequest
    from addrcast.core.domain.ledger import Ledger
    from addrcast.core.domain.resource import Account


def decide_create(request: CreateRequest, situation: Situation) -> Decision:
    """Decide on a create. Raises the errors of the domain."""
    check_epoch(situation, EpochState.OPEN)
    ledger = situation.candidates.ledger
    instance = ledger.instance(request.account, request.instance)
    if instance.key in situation.candidates.taken:
        return Held()
    before = instance.value
    records = records_of(situation, request, before)
    if records is None:
        return Look()
    if before is not None and records and before.attempt == request.attempt:
        is_own = bool(request.request) and before.request == request.request
        # another replica may have deleted it since, and answered
        is_known = is_own or situation.has_looked
        return _as_bound(request, instance, records, is_own=is_own) if is_known else Look()
    account = _check(ledger, request, before)
    return _Creation(request, situation, account, instance, records).decide()


def created(attempt: Attempt, revision: int) -> Created:
    """What a create is told whose attempt the store carried out at `revision`."""
    addresses = [
        Placed(
            step.logical, step.value.physical, step.value.host, step.outcome, step.value.placed_revision or revision
        )
        for step in attempt.steps
    ]
    request = attempt.request
    return Created(request.account, request.instance, attempt.number, tuple(addresses), revision)


class _Creation(msgspec.Struct, frozen=True):
    """One create that may go ahead; `records` are those of the bound instance that it is a higher attempt of."""

    request: CreateRequest
    situation: Situation
    account: Account
    instance: Entry[InstanceEntry]
    records: list[Entry[Record]]

    def decide(self) -> Decision:
        found = self._choose(is_scarce=False)
        if isinstance(found, Lack) and self.situation.has_looked and found.of is not LackOf.IN_FLIGHT:
            found = self._choose(is_scarce=True)
        if isinstance(found, Choice):
            return self._attempt(found)
        if found.of is LackOf.IN_FLIGHT:
            return Held()
        return self._relieve(found) if self.situation.has_looked else Look()

    def _choose(self, *, is_scarce: bool) -> Choice | Lack:
        request, candidates = self.request, self.situation.candidates
        ledger = candidates.ledger
        now_ms = self.situation.now_ms
        claim = Claim(request.account, request.instance, request.attempt, now_ms, request.request)
        lack: Lack | None = None
        for host in hosts_for(candidates, request, self.account, self.records, is_scarce=is_scarce):
            choice = Choice(candidates, claim, self.account, ledger.host(host), is_scarce=is_scarce)
            if self.records:
                lack = choice.repeat_all(self.records, self.instance.required.outcomes)
            else:
                lack = choice.take_all(request.wants)
            if lack is None:
                return choice
            if lack.of is not LackOf.PHYSICAL:
                return lack
        if lack is not None and request.host:
            return lack
        if not candidates.up_hosts():
            raise Unavailable("no host is up", retry_after_ms=CLOSED_RETRY_MS)
        return Lack(LackOf.PHYSICAL, "", pools_of(ledger, self.account, request.wants[0]))

    def _attempt(self, choice: Choice) -> Attempt | Held:
        candidates = self.situation.candidates
        subscription = candidates.ledger.subscription(choice.host_id, self.request.account)
        is_written = subscription.value is None or not subscription.value.stands
        if is_written and subscription.key in candidates.taken:
            choice.give_back()
            return Held()
        draft = create(
            candidates.ledger.epoch, self.instance, choice.claim, choice.steps, subscription=subscription
        )
        candidates.taken.add(self.instance.key)
        if is_written:
            candidates.taken.add(subscription.key)
        return Attempt(self.request, self.request.attempt, draft, tuple(choice.steps))

    def _relieve(self, lack: Lack) -> Decision:
        request, situation = self.request, self.situation
        if lack.of is LackOf.QUOTA:
            way_out = "raise the quota or delete instances"
            raise Exhausted(f"quota of {request.account}", asked=len(request.wants), free=0, way_out=way_out)
        if is_in_flight(situation.candidates, lack, request.account):
            return Held()
        if _is_of_no_moment(situation.candidates.ledger, lack, request.account):
            return Look()
        return relieve(
            situation.candidates,
            lack,
            request.account,
            now_ms=situation.now_ms,
            mine=situation.mine,
            others=situation.others,
        )


def _is_of_no_moment(ledger: Ledger, lack: Lack, account: str) -> bool:
    """Whether the view of what is lacking was learnt in part, ahead of changes that may have brought an address.

    An attempt may rest on such a view; nobody may be refused or robbed because of it.
    """
    return any(_bears_on(entry, lack, account) for entry in ledger.ahead())


def _bears_on(entry: Entry[Any], lack: Lack, account: str) -> bool:
    value = entry.value
    if lack.of is LackOf.PHYSICAL:
        return isinstance(value, Record | PhysicalHold) and lack.host in ("", value.host)
    if isinstance(value, Record):
        return value.pool in lack.pools and (value.is_shared or parts_of(entry.key).first == account)
    return isinstance(value, PoolAddress) and parts_of(entry.key).first in lack.pools


def _check(ledger: Ledger, request: CreateRequest, before: InstanceEntry | None) -> Account:
    declared = ledger.accounts().get(request.account)
    if declared is None:
        raise Invalid("account", request.account, "no account of this name is declared")
    account = declared.required
    if account.is_draining:
        raise Invalid("account", request.account, "it drains and gets no new use")
    if before is not None and before.attempt >= request.attempt:
        what = "deleted" if before.state is InstanceState.TOMBSTONE else "bound"
        raise Stale(
            f"instance {request.instance}: attempt {request.attempt} is too late, it was {what} in attempt"
            f" {before.attempt}; create it anew with attempt {before.attempt + 1}"
        )
    if before is not None and before.addresses and len(before.addresses) != len(request.wants):
        rule = f"the instance is bound with {len(before.addresses)}; ask for as many, or delete it first"
        raise Invalid("wants", len(request.wants), rule)
    if request.host:
        check_host(ledger, request.host)
    return account


def _as_bound(
    request: CreateRequest, instance: Entry[InstanceEntry], records: list[Entry[Record]], *, is_own: bool
) -> Created:
    """The answer to a create that has been carried out before: by this very request, or by an earlier one."""
    bound = instance.required
    addresses = tuple(map(placed, bound.addresses, records, bound.outcomes))
    return Created(
        request.account, request.instance, bound.attempt, addresses, instance.revision, is_repeat=not is_own
    )
