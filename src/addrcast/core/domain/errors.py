"""The five ways in which a request can fail, by who is at fault."""

from __future__ import annotations


class AddrcastError(Exception):
    """An expected failure; every other exception is a bug."""


class Invalid(AddrcastError):
    """The caller's fault: a field holds a value that breaks a rule.

    `field` names the input (a setting, a column, `line 12, column 3`), `value` is what stood there, `rule`
    says what may stand there.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field}: {value!r} is not valid: {rule}")
        self.field = field
        self.value = value
        self.rule = rule


class Denied(Invalid):
    """The store does not allow this to the user that asked; somebody may grant it."""


class Exhausted(AddrcastError):
    """Nothing usable is left nor coming: the pool, how many were asked for, how many are free."""

    def __init__(self, pool: str, *, asked: int, free: int, way_out: str = "grow the pool") -> None:
        super().__init__(f"pool {pool}: {asked} asked for, {free} free; {way_out}")
        self.pool = pool
        self.asked = asked
        self.free = free
        self.way_out = way_out


class Conflict(AddrcastError):
    """A race was lost more often than the bound on retries allows; nothing was changed."""


class Stale(AddrcastError):
    """The view is too old to decide on: look again."""


class Unavailable(AddrcastError):
    """The world's fault, for now: try again after `retry_after_ms`."""

    def __init__(self, what: str, *, retry_after_ms: int) -> None:
        super().__init__(f"{what}; try again in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class OutcomeUnknown(Unavailable):
    """The request may or may not have been carried out: read back, then decide again; never retry blindly."""
