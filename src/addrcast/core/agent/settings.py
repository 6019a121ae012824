"""How an agent paces itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from addrcast.core.dataplane.unapplied import Backoff


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The agent's bounds and pauses.

    `batch_max` entries go to the kernel at once. Acknowledgements that nobody waits for are written after
    `acknowledge_after_ms`. The table is audited every `audit_every_ms`. What is to be removed for its mere absence
    is looked at twice, `confirm_after_ms` apart: always in an audit, past `removal_max` entries in a snapshot.
    `reassure_after_ms` is longer than a write without an answer can take to land.
    """

    batch_max: int = 50_000
    acknowledge_after_ms: int = 1_000
    audit_every_ms: int = 60_000
    confirm_after_ms: int = 1_000
    reassure_after_ms: int = 30_000
    removal_max: int = 100
    backoff: Backoff = field(default_factory=Backoff)
