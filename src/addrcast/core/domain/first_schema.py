"""What version 1 of the schema had words for: the fields of each kind of value, as its readers know them."""

from __future__ import annotations

# a reader of version 1 refuses a value with any other field
_FIRST = """
    Record state physical host pool since_ms instance attempt placed_revision was_bound is_shared request
    PhysicalHold state account logical host since_ms
    InstanceEntry state attempt since_ms addresses outcomes request
    PoolAddress account
    Host state incarnation blocks is_draining
    Subscription is_idle is_leaving
    Acknowledgement epoch revision incarnation
    Account tier vni pools quota preferences is_draining
    Pool kind prefixes exclusions draining is_shared
    Tier rank weight service_level hold_ms age_limit_ms cooldown_ms headroom
    StoreEpoch v epoch state
"""

FIRST_FIELDS = {kind: frozenset(fields) for kind, *fields in map(str.split, _FIRST.strip().splitlines())}
# kinds that came later and break nothing where a process of version 1 passes over them
PASSED_OVER = frozenset({"Attachments", "Declared", "HostReport", "StoreMove"})
