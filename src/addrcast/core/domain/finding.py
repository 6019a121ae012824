"""What a check of a store finds."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """Keys that do not fit: which rule they break, and how."""

    rule: str
    keys: tuple[str, ...]
    what: str
