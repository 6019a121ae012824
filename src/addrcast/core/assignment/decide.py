"""The one decision of this stage: what to do for a request, given what is known of the store."""

from __future__ import annotations

from addrcast.core.assignment.creating import decide_create
from addrcast.core.assignment.decision import Attempt, Decision, Held, Look, Situation
from addrcast.core.assignment.deleting import decide_delete
from addrcast.core.assignment.request import CreateRequest, Request
from addrcast.core.domain.errors import AddrcastError

_AT_ONCE = (Attempt, Held)


def decide(request: Request, situation: Situation) -> Decision:
    """Attempt a transaction, answer, look again or wait.

    An attempt needs no view that is up to date, since its compares judge it. Everything else does, refusals too:
    unless the view was brought up to the store after the request arrived, it is Look. Raises the errors of the
    domain.
    """
    try:
        if isinstance(request, CreateRequest):
            decision = decide_create(request, situation)
        else:
            decision = decide_delete(request, situation)
    except AddrcastError:
        if situation.has_looked:
            raise
        return Look()
    return decision if situation.has_looked or isinstance(decision, _AT_ONCE) else Look()
