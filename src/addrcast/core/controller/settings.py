"""The controller's times and bounds."""

from __future__ import annotations

from dataclasses import dataclass

from addrcast.core.domain.resource import HOUR_MS, MINUTE_MS
from addrcast.core.propagation.audience import LostHosts


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """How long the controller waits, how often it looks, how much it does at once.

    Clocks differ by at most `skew_max_ms`; `deadline_max_ms` is the longest deadline of a request. A host is given
    up when its sign of life is gone for `host_lost_ms`, and leaves an account of which it has had nothing for
    `leave_after_ms`. What ends by itself is looked for every `sweep_every_ms`; what needs a look at every account,
    every `round_every_ms`; at every subscription, several times in `leave_after_ms`; a plan is asked for every
    `plan_every_ms`. A duty has one commit of at most `batch_max` transactions under way, and waits `retry_ms` where
    the store is away.
    """

    skew_max_ms: int = 1_000
    deadline_max_ms: int = MINUTE_MS
    host_lost_ms: int = 10 * MINUTE_MS
    lost_hosts: LostHosts = LostHosts.LEFT_OUT
    leave_after_ms: int = HOUR_MS
    sweep_every_ms: int = 250
    round_every_ms: int = 5_000
    plan_every_ms: int = MINUTE_MS
    batch_max: int = 128
    retry_ms: int = 1_000

    @property
    def leave_every_ms(self) -> int:
        """How often to look for hosts that may leave an account: it takes two looks beyond the time."""
        return self.leave_after_ms // 8

    @property
    def tombstone_ms(self) -> int:
        """How long a tombstone lives: no message that is older can still arrive."""
        return 2 * self.deadline_max_ms + self.skew_max_ms
