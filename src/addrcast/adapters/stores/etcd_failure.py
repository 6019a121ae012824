"""What an error of gRPC or etcd means: whether the request can have been carried out, and whose fault it is."""

from __future__ import annotations

from enum import Enum, auto

import grpc
from grpc import aio

from addrcast.core.domain.errors import AddrcastError, Denied, Invalid, OutcomeUnknown, Unavailable


class Failure(Enum):
    """What went wrong with a request.

    Of all but LOST it is certain that it was not carried out, and but NO_SPACE, with which the one that crosses the
    quota is answered although it was.
    """

    LOST = auto()  # sent; whether it was carried out, nobody says
    AWAY = auto()  # not sent, or refused by a member that cannot serve now: another one may
    TOKEN = auto()  # the login has run out, or users or roles have changed: log in again
    DENIED = auto()
    NO_SPACE = auto()
    BUSY = auto()
    NO_LEASE = auto()
    COMPACTED = auto()
    AHEAD = auto()  # a revision that the store has not come to
    REFUSED = auto()  # the request breaks a rule of etcd's


RETRY_MS = 200
BUSY_RETRY_MS = 1_000
NO_SPACE_RETRY_MS = 30_000

# Source: api/v3rpc/rpctypes/error.go of etcd. What is not named here and is no status of the client's own counts as
# lost where its code allows that the request was carried out: UNAVAILABLE, UNKNOWN, CANCELLED, DEADLINE_EXCEEDED.
_BY_TEXT = {
    "etcdserver: no leader": Failure.AWAY,
    "etcdserver: not capable": Failure.AWAY,
    "etcdserver: rpc not supported for learner": Failure.AWAY,
    "etcdserver: too many requests": Failure.BUSY,
    "etcdserver: mvcc: database space exceeded": Failure.NO_SPACE,
    "etcdserver: mvcc: required revision has been compacted": Failure.COMPACTED,
    "etcdserver: mvcc: required revision is a future revision": Failure.AHEAD,
    "etcdserver: requested lease not found": Failure.NO_LEASE,
    "etcdserver: permission denied": Failure.DENIED,
    "etcdserver: invalid auth token": Failure.TOKEN,
    "etcdserver: revision of auth store is old": Failure.TOKEN,
    "etcdserver: user name is empty": Failure.TOKEN,
}
_BY_CODE = {
    grpc.StatusCode.UNAUTHENTICATED: Failure.TOKEN,
    grpc.StatusCode.PERMISSION_DENIED: Failure.DENIED,
    grpc.StatusCode.INVALID_ARGUMENT: Failure.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: Failure.REFUSED,
    grpc.StatusCode.OUT_OF_RANGE: Failure.REFUSED,
    grpc.StatusCode.NOT_FOUND: Failure.REFUSED,
    grpc.StatusCode.UNIMPLEMENTED: Failure.REFUSED,
    grpc.StatusCode.DATA_LOSS: Failure.AWAY,
}
_NEVER_SENT = ("failed to connect to all addresses", "DNS resolution failed", "empty address list")


def failure_of(error: aio.AioRpcError) -> Failure:
    """What a failed call means."""
    details = error.details() or ""
    known = _BY_TEXT.get(details)
    if known is not None:
        return known
    if error.code() is grpc.StatusCode.UNAVAILABLE and details.startswith(_NEVER_SENT):
        return Failure.AWAY
    return _BY_CODE.get(error.code(), Failure.LOST)


def failure_of_reason(reason: str) -> Failure:
    """What the reason means for which a watch was cancelled; it may say more than the bare error."""
    for text, failure in _BY_TEXT.items():
        if text in reason:
            return failure
    return Failure.AWAY


def words_of(error: aio.AioRpcError) -> str:
    """The error in one line, without the name of the client library's function."""
    details = (error.details() or "no details").splitlines()[0]
    return f"{error.code().name.lower()}: {details[:300]}"


# the caller's fault: the field, and the rule
_INVALID = {
    Failure.DENIED: ("etcd user", "its roles do not allow this; grant it, or use another user"),
    Failure.TOKEN: ("etcd credentials", "a user and a password that etcd knows are needed"),
    Failure.REFUSED: ("request", "etcd does not take it"),
    Failure.AHEAD: ("revision", "the store has not come to it yet"),
}
# the world's: what is wrong, and when to try again
_UNAVAILABLE = {
    Failure.NO_SPACE: (
        "etcd's database has reached its quota and takes no puts; compact, defragment, disarm, or raise the quota",
        NO_SPACE_RETRY_MS,
    ),
    Failure.BUSY: ("etcd has more requests than it can apply", BUSY_RETRY_MS),
}


def raised_for(failure: Failure, what: str, *, wrote: bool = False) -> AddrcastError:
    """The error of the domain for a failed request; `wrote` where it was to change something."""
    if failure is Failure.LOST and wrote:
        return OutcomeUnknown(f"etcd does not say whether it was carried out ({what})", retry_after_ms=RETRY_MS)
    if failure in _INVALID:
        field, rule = _INVALID[failure]
        kind = Denied if failure is Failure.DENIED else Invalid
        return kind(field, what, rule)
    why, retry_after_ms = _UNAVAILABLE.get(failure, ("etcd is away", RETRY_MS))
    return Unavailable(f"{why} ({what})", retry_after_ms=retry_after_ms)
