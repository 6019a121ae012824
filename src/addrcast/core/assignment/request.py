"""What callers ask for: addresses for an instance, or that an instance is deleted."""

from __future__ import annotations

import msgspec

from addrcast.core.domain.address import Family, parse_address
from addrcast.core.domain.errors import Invalid
from addrcast.core.domain.identity import check_instance, check_name

WANTS_MAX = 16


class Want(msgspec.Struct, frozen=True, gc=False):
    """One address of an instance: of any pool of the account, of one family, of one pool, or one by name."""

    family: Family | None = None
    pool: str = ""
    logical: str = ""


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Addresses for an instance, all on one host: the asked one, or any where `host` is empty.

    One and the same instance and attempt gets one and the same answer, however often it is asked for; `attempt`
    counts up when the instance is created anew. `deadline_ms` is by the server's clock. `request` names the
    request in the values it writes.
    """

    account: str
    instance: str
    deadline_ms: int
    host: str = ""
    wants: tuple[Want, ...] = (Want(),)
    attempt: int = 0
    request: str = ""


class DeleteRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An instance is gone; `attempt` None means whichever is bound."""

    account: str
    instance: str
    deadline_ms: int
    attempt: int | None = None
    request: str = ""


Request = CreateRequest | DeleteRequest


def check_request(request: Request) -> None:
    """Raise Invalid where a field breaks a rule that can be told without looking at the store."""
    check_name("account", request.account)
    check_instance(request.instance)
    if request.attempt is not None and request.attempt < 0:
        raise Invalid("attempt", request.attempt, "attempts count up from 0")
    if isinstance(request, DeleteRequest):
        return
    if request.host:
        check_name("host", request.host)
    if not 1 <= len(request.wants) <= WANTS_MAX:
        raise Invalid("wants", len(request.wants), f"1 to {WANTS_MAX} addresses can be had at once")
    named = [want.logical for want in request.wants if want.logical]
    for logical in named:
        parse_address(logical)
    if named and len(set(named)) < len(named):
        raise Invalid("wants", named, "an address can be named only once")
