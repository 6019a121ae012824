"""Which versions of etcd the store works with, and on which it may nest transactions."""

from __future__ import annotations

import re

from addrcast.core.domain.errors import Invalid

Version = tuple[int, int, int]

# Before these, notes of progress could overtake events, so a watch could not tell what it had seen (etcd's
# "Guarantee order of requested progress notifications"); 3.5.0 to 3.5.2 could corrupt data.
LEAST = {(3, 4): 26, (3, 5): 9}
# Before these, nested transactions were carried out without a look at the user's permissions (CVE-2026-33343).
NESTED = {(3, 5): 30, (3, 6): 9}


def version_of(text: str) -> Version:
    """`3.5.30`, `3.6.0-rc.1` as numbers. Raises Invalid."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if found is None:
        raise Invalid("etcd version", text, "a version is three numbers with dots between them")
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch


def check_version(text: str, *, endpoint: str) -> Version:
    """The version of a member. Raises Invalid where the store cannot keep its promises on it."""
    version = version_of(text)
    least = LEAST.get(version[:2])
    if version < (3, 4, 0) or (least is not None and version[2] < least):
        needed = ", ".join(f"{major}.{minor}.{patch}" for (major, minor), patch in LEAST.items())
        rule = (
            f"at least {needed} of its line or 3.6 is needed, since watches lose events before; upgrade {endpoint}"
        )
        raise Invalid("etcd version", text, rule)
    return version


def can_nest(version: Version) -> bool:
    """Whether transactions may be nested on a server of this version."""
    line = version[:2]
    return version[2] >= NESTED[line] if line in NESTED else line > (3, 6)
