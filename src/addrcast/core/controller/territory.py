"""Which shard an account belongs to, and the shards that one controller leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from addrcast.core.domain.transaction import Compare

SHARDS_MAX = 32
"""With one operation for each, a change of the number fits into one transaction of every store."""


def shard_of(account: str, shards: int) -> int:
    """The shard of an account, from 0 up: the CRC-32 of its id in ASCII, modulo their number.

    All controllers, whatever they are built from, must come to the same one.

    Source: CRC-32 as in RFC 1952, section 8.
    """
    return crc32(account.encode("ascii")) % shards


@dataclass(frozen=True, slots=True)
class Territory:
    """What a controller leads: of `shards` those that it has a fence for, by number.

    Shard 0 has, besides its accounts, all that is not of one account: hosts that are given up, the opening of a
    restored store, and plans, since accounts that share a pool are served under one price.
    """

    shards: int = 1
    fences: Mapping[int, Compare] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def whole(cls, fence: Compare) -> Territory:
        """The only shard."""
        return cls(1, {0: fence})

    @property
    def first(self) -> Compare | None:
        """The fence of shard 0, None where another leads it."""
        return self.fences.get(0)

    def fence_of(self, account: str) -> Compare | None:
        """The fence of an account's shard, None where another leads it."""
        return self.fences.get(shard_of(account, self.shards) if self.shards > 1 else 0)

    def has(self, account: str) -> bool:
        """Whether the account's shard is led here."""
        return self.fence_of(account) is not None
